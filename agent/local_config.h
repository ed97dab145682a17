/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* local_config - what an agent tells the edge about itself (updateLocalConfiguration); pure */

struct settings;

/*
 * JSON of exactly the stock shape: __configuration_flags, ingress, warp-routing, as far as adit has
 * them. Made from the values named here and no others: addresses behind routes (`via`), what
 * is allowed besides (`allow`) and paths are nobody's business out there. To be freed.
 */
char *local_config_format(const struct settings *s);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* paths - where the edge keeps its files unless it is told otherwise */

#define EDGE_CONFIG_FILE    "/etc/adit/edge.yml"
#define EDGE_STATE_DIR	    "/var/lib/adit-edge"
#define EDGE_CONTROL_SOCKET "/run/adit-edge/edge.sock"
#define EDGE_CONTROL_ENV    "ADIT_EDGE_CONTROL_SOCKET"

/*
 * Names inside the state directory; `adit-edge init` makes all but the database. The CA's key isn't
 * there but in a folder of its own, which the running edge can't open.
 */
#define EDGE_CA_CERT_NAME  "ca.pem"
#define EDGE_CA_DIR_SUFFIX "-ca" /* behind the state directory's name, unless told otherwise */
#define EDGE_CA_KEY_NAME   "ca-key.pem"
#define EDGE_CERT_NAME	   "cert.pem" /* the server's, followed by the CA's */
#define EDGE_KEY_NAME	   "key.pem"
#define EDGE_DB_NAME	   "edge.db"

/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/names.h"

#include <string.h>

#include "base/uuid.h"
#include "edge/model.h"

#define DIGITS	"0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

const char *edge_name_problem(const char *name)
{
	struct uuid id;

	if (!*name)
		return "a name can't be empty";
	if (strlen(name) >= EDGE_NAME_MAX)
		return "a name has at most 63 characters";
	if (name[strspn(name, LETTERS DIGITS "._-")])
		return "a name is made of letters, digits, '.', '_' and '-'";
	if (!strchr(LETTERS DIGITS, name[0]))
		return "a name starts with a letter or a digit";
	if (uuid_parse(name, &id) == 0)
		return "a name can't look like an id";
	return NULL;
}

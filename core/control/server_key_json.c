/* SPDX-License-Identifier: BSD-3-Clause
 * server_key_json.c - the control server's answer to GET /key
 */
#include "core/control/server_key_json.h"

#include <errno.h>
#include <jansson.h>

#include "core/model/json_fields.h"

int ts_server_key_read(const void *json, size_t len, struct ts_public_key *out)
{
	json_t *root = json_loadb(json, len, TS_JSON_READ_FLAGS, NULL);
	int err = -EBADMSG;

	if (json_is_object(root))
		err = ts_json_key(root, "publicKey", TS_PREFIX_MACHINE, out);
	json_decref(root);
	if (!err && ts_public_key_is_zero(out))
		err = -EPROTO;
	return err;
}

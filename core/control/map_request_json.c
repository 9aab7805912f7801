/* SPDX-License-Identifier: BSD-3-Clause
 * map_request_json.c - write a MapRequest
 */
#include "core/control/map_request_json.h"

#include <jansson.h>

#include "core/control/control_client.h"

static json_t *key_text(const struct ts_public_key *key, const char *prefix)
{
	char text[TS_KEY_TEXT_CAP];

	return json_string(ts_public_key_format(key, prefix, text));
}

static int set_endpoints(const struct ts_map_request *r, json_t *root)
{
	json_t *addrs = json_array(), *types = json_array();
	char text[TS_ADDR_TEXT_CAP];
	int err = 0;

	for (size_t i = 0; i < r->endpoint_count; i++) {
		ts_addr_format(&r->endpoints[i], text);
		err |= json_array_append_new(addrs, json_string(text));
		err |= json_array_append_new(
			types, json_integer(r->endpoint_types[i]));
	}
	err |= json_object_set_new(root, "Endpoints", addrs);
	err |= json_object_set_new(root, "EndpointTypes", types);
	return err;
}

static int fill_request(const struct ts_map_request *r, json_t *root)
{
	int err = 0;

	err |= json_object_set_new(root, "Version",
				   json_integer(TS_CAPABILITY_VERSION));
	err |= json_object_set_new(root, "Compress", json_string("zstd"));
	err |= json_object_set_new(root, "KeepAlive", json_true());
	err |= json_object_set_new(root, "NodeKey",
				   key_text(&r->node_key, TS_PREFIX_NODE));
	err |= json_object_set_new(root, "DiscoKey",
				   key_text(&r->disco_key, TS_PREFIX_DISCO));
	if (r->is_stream)
		err |= json_object_set_new(root, "Stream", json_true());
	err |= json_object_set_new(root, "Hostinfo",
				   ts_hostinfo_to_json(r->hostinfo));
	if (r->endpoint_count > 0)
		err |= set_endpoints(r, root);
	if (!r->is_stream)
		err |= json_object_set_new(root, "OmitPeers", json_true());
	if (r->tka_head && *r->tka_head)
		err |= json_object_set_new(root, "TKAHead",
					   json_string(r->tka_head));
	return err;
}

char *ts_map_request_write(const struct ts_map_request *request)
{
	json_t *root = json_object();
	char *text = NULL;

	if (root && fill_request(request, root) == 0)
		text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

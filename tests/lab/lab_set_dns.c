/* SPDX-License-Identifier: BSD-3-Clause
 * lab_set_dns.c - POST /machine/set-dns: TXT records below nodes' names
 * Source: tailcfg/tailcfg.go (SetDNSRequest)
 */
#include "tests/lab/lab_set_dns.h"

#include <stdio.h>
#include <string.h>

#include "tests/lab/lab_routes.h"
#include "tests/lab/lab_state.h"

static const char *check(const struct lab_state *st,
			 const struct lab_node *node, const json_t *body)
{
	char allowed[512];

	snprintf(allowed, sizeof(allowed), "_acme-challenge.%s.%s", node->name,
		 st->domain);
	if (strcmp(lab_json_text(body, "Type"), "TXT") != 0)
		return "only TXT records can be set\n";
	if (strcmp(lab_json_text(body, "Name"), allowed) != 0)
		return "this node may not set that name\n";
	if (!*lab_json_text(body, "Value"))
		return "no value\n";
	return NULL;
}

void lab_set_dns_request(struct lab *lab, struct lab_h2_stream *stream,
			 const struct ts_public_key *machine,
			 const struct lab_h2_request *req)
{
	json_t *body = lab_request_json(stream, req);
	struct lab_node *node = NULL;
	struct ts_public_key key;
	const char *error;

	if (!body)
		return;
	if (!lab_json_key(body, "NodeKey", TS_PREFIX_NODE, &key))
		node = lab_node_by_key(&lab->state, &key);
	error = node && ts_public_key_equal(&node->machine, machine)
			? check(&lab->state, node, body)
			: "unknown node key\n";
	if (error) {
		lab_respond_error(stream, 403, error);
	} else {
		json_array_append_new(
			lab->state.txt_records,
			json_pack("{s:s, s:s, s:s}", "Node", node->name, "Name",
				  lab_json_text(body, "Name"), "Value",
				  lab_json_text(body, "Value")));
		lab_respond_json(stream, json_object());
	}
	json_decref(body);
}

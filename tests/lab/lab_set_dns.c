/* SPDX-License-Identifier: BSD-3-Clause
 * lab_set_dns.c - POST /machine/set-dns: TXT records below nodes' names
 * Source: tailcfg/tailcfg.go (SetDNSRequest)
 */
#include "tests/lab/lab_set_dns.h"

#include <stdio.h>
#include <string.h>

#include "tests/lab/lab_routes.h"
#include "tests/lab/lab_state.h"

/* Its own, and what all nodes are told that they may have (a service's). */
static bool is_allowed(const struct lab_state *st, const struct lab_node *node,
		       const char *name)
{
	char allowed[512];
	json_t *item;
	size_t i;

	snprintf(allowed, sizeof(allowed), "_acme-challenge.%s.%s", node->name,
		 st->domain);
	if (strcmp(name, allowed) == 0)
		return true;
	json_array_foreach(json_object_get(st->dns, "CertDomains"), i, item) {
		snprintf(allowed, sizeof(allowed), "_acme-challenge.%s",
			 json_string_value(item));
		if (strcmp(name, allowed) == 0)
			return true;
	}
	return false;
}

static const char *check(const struct lab_state *st,
			 const struct lab_node *node, const json_t *body)
{
	if (strcmp(lab_json_text(body, "Type"), "TXT") != 0)
		return "only TXT records can be set\n";
	if (!is_allowed(st, node, lab_json_text(body, "Name")))
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
	const struct lab_node *node;
	const char *error;

	if (!body)
		return;
	node = lab_request_node(lab, stream, machine, body);
	if (!node) {
		json_decref(body);
		return;
	}
	error = check(&lab->state, node, body);
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

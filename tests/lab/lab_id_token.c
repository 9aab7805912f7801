/* SPDX-License-Identifier: BSD-3-Clause
 * lab_id_token.c - POST /machine/id-token: who a node is, for others
 * Source: tailcfg/tailcfg.go (TokenRequest, TokenResponse)
 */
#include "tests/lab/lab_id_token.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "tests/lab/lab_routes.h"
#include "tests/lab/lab_state.h"

static char *encode(json_t *part)
{
	char *text = json_dumps(part, JSON_COMPACT);
	char *out = text ? ts_base64_encode(text, strlen(text)) : NULL;

	json_decref(part);
	free(text);
	return out;
}

static json_t *make_token(const struct lab_node *node, const char *audience)
{
	char *head = encode(json_pack("{s:s}", "alg", "none"));
	char *claims = encode(json_pack("{s:s, s:s}", "aud", audience, "sub",
					node->name));
	json_t *token = json_sprintf("%s.%s.", head, claims);

	free(head);
	free(claims);
	return token;
}

void lab_id_token_request(struct lab *lab, struct lab_h2_stream *stream,
			  const struct ts_public_key *machine,
			  const struct lab_h2_request *req)
{
	json_t *body = lab_request_json(stream, req);
	const char *audience = lab_json_text(body, "Audience");
	const struct lab_node *node;

	if (!body)
		return;
	node = lab_request_node(lab, stream, machine, body);
	if (node && (!*audience || strcmp(audience, "forbidden") == 0))
		lab_respond_error(stream, 400, "no token for that audience\n");
	else if (node)
		lab_respond_json(stream,
				 json_pack("{s:o}", "id_token",
					   make_token(node, audience)));
	json_decref(body);
}

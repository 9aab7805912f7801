/* SPDX-License-Identifier: BSD-3-Clause
 * lab_routes.h - who answers which request over Noise
 */
#ifndef TESTS_LAB_LAB_ROUTES_H
#define TESTS_LAB_LAB_ROUTES_H

#include "core/crypto/keys.h"
#include "tests/lab/h2_server.h"
#include "tests/lab/lab.h"

/* machine: whom the Noise handshake proved. */
void lab_route(struct lab *lab, struct lab_h2_stream *stream,
	       const struct ts_public_key *machine,
	       const struct lab_h2_request *req);
/* An answer of JSON; steals obj. */
void lab_respond_json(struct lab_h2_stream *stream, json_t *obj);
/* An answer of text with a status above 399. */
void lab_respond_error(struct lab_h2_stream *stream, int status,
		       const char *text);
/* The body as an object, or NULL (answered with 400). */
json_t *lab_request_json(struct lab_h2_stream *stream,
			 const struct lab_h2_request *req);
/* The string member of that name, "" when absent or something else. */
const char *lab_json_text(const json_t *obj, const char *name);
/* Who sent it: the node of the body's NodeKey, if it is this machine's; else
 * NULL (answered with 403). */
struct lab_node *lab_request_node(struct lab *lab, struct lab_h2_stream *stream,
				  const struct ts_public_key *machine,
				  const json_t *body);
/* The key in a member, zero when absent; 0 or -EBADMSG. */
int lab_json_key(const json_t *obj, const char *name, const char *prefix,
		 struct ts_public_key *out);

#endif

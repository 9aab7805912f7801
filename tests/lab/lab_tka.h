/* SPDX-License-Identifier: BSD-3-Clause
 * lab_tka.h - the tailnet's lock, as a control server keeps it
 */
#ifndef TESTS_LAB_LAB_TKA_H
#define TESTS_LAB_LAB_TKA_H

#include "core/crypto/keys.h"
#include "tests/lab/h2_server.h"
#include "tests/lab/lab.h"

/* NULL: out of memory */
struct lab_tka *lab_tka_new(struct lab *lab);
void lab_tka_free(struct lab_tka *tka); /* NULL is fine */
bool lab_tka_is_on(const struct lab *lab);
/* TKAInfo for a map, or NULL: nothing to say. */
json_t *lab_tka_info(const struct lab *lab, bool is_delta);
/* GET /machine/tka/... */
void lab_tka_request(struct lab *lab, struct lab_h2_stream *stream,
		     const struct ts_public_key *machine,
		     const struct lab_h2_request *req);
/* What a register request brings for the lock: its NLKey and signature. */
void lab_tka_take_register(struct lab *lab, struct lab_node *node,
			   const json_t *body);
/* The signature that a node has to sign over before it may have that new key;
 * NULL: it may. */
const char *lab_tka_wants(const struct lab *lab, const struct lab_node *node,
			  const json_t *body);

#endif

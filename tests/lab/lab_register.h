/* SPDX-License-Identifier: BSD-3-Clause
 * lab_register.h - POST /machine/register: who may be a node
 */
#ifndef TESTS_LAB_LAB_REGISTER_H
#define TESTS_LAB_LAB_REGISTER_H

#include "core/crypto/keys.h"
#include "tests/lab/h2_server.h"
#include "tests/lab/lab.h"

/* 0, -EINVAL (an auth key's attributes), -ENOMEM */
int lab_register_new(struct lab *lab, struct lab_register **out);
void lab_register_free(struct lab_register *reg); /* NULL is fine */
void lab_register_request(struct lab *lab, struct lab_h2_stream *stream,
			  const struct ts_public_key *machine,
			  const struct lab_h2_request *req);

/* Let the logins with that ID (NULL: all) in as user, or turn them away when
 * user is NULL. Returns how many. */
size_t lab_register_decide(struct lab_register *reg, const char *id,
			   const char *user);
/* The waiting logins: [{id, url, node_key}]. */
json_t *lab_register_pending(const struct lab_register *reg);
/* Another auth key; text as on the command line. 0, -EINVAL, -ENOMEM */
int lab_register_add_key(struct lab_register *reg, const char *text);
/* Answer the next count requests with 429. */
void lab_register_rate_limit(struct lab_register *reg, unsigned count,
			     unsigned retry_after_s);
json_t *lab_register_stats(const struct lab_register *reg);

#endif

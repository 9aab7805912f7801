/* SPDX-License-Identifier: BSD-3-Clause
 * lab_id_token.h - POST /machine/id-token: who a node is, for others
 */
#ifndef TESTS_LAB_LAB_ID_TOKEN_H
#define TESTS_LAB_LAB_ID_TOKEN_H

#include "core/crypto/keys.h"
#include "tests/lab/h2_server.h"
#include "tests/lab/lab.h"

/* A token in the form of a JWT, unsigned: who looks into it is a test. */
void lab_id_token_request(struct lab *lab, struct lab_h2_stream *stream,
			  const struct ts_public_key *machine,
			  const struct lab_h2_request *req);

#endif

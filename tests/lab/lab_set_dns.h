/* SPDX-License-Identifier: BSD-3-Clause
 * lab_set_dns.h - POST /machine/set-dns: TXT records below nodes' names
 */
#ifndef TESTS_LAB_LAB_SET_DNS_H
#define TESTS_LAB_LAB_SET_DNS_H

#include "core/crypto/keys.h"
#include "tests/lab/h2_server.h"
#include "tests/lab/lab.h"

/* As the real server: records of the node's own name alone, kept as an array of
 * {"Node", "Name", "Value"} in the state. */
void lab_set_dns_request(struct lab *lab, struct lab_h2_stream *stream,
			 const struct ts_public_key *machine,
			 const struct lab_h2_request *req);

#endif

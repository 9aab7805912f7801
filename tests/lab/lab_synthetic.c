/* SPDX-License-Identifier: BSD-3-Clause
 * lab_synthetic.c - nodes that nobody runs, to make a tailnet large
 *
 * Public keys are random bytes: every 32 bytes are an X25519 public key, and
 * making 10,000 real ones would take longer than the whole start.
 */
#include "tests/lab/lab_synthetic.h"

#include <stdio.h>

#include "core/crypto/secret.h"

#define SYNTHETIC_USER "synthetic@example.com"

enum { SYNTHETIC_CAP_VERSION = 113, ENDPOINT_PORT = 41641 };

static void random_key(struct ts_public_key *out)
{
	ts_random_bytes(out->bytes, sizeof(out->bytes));
}

static void fill(struct lab *lab, struct lab_node *node)
{
	const unsigned n = (unsigned)node->id;

	random_key(&node->machine);
	random_key(&node->disco);
	node->synthetic = true;
	node->user = lab_state_user(&lab->state, SYNTHETIC_USER);
	node->cap_version = SYNTHETIC_CAP_VERSION;
	node->home_derp = lab->first_region;
	/* 198.18.0.0/15 is for benchmarks and leads nowhere (RFC 2544). */
	lab_json_replace(
		&node->endpoints,
		json_pack("[o]", json_sprintf("198.18.%u.%u:%d", n >> 8 & 0xff,
					      n & 0xff, ENDPOINT_PORT)));
	lab_json_replace(&node->hostinfo, json_pack("{s:s, s:s}", "OS", "linux",
						    "Hostname", node->name));
}

static bool add_one(struct lab *lab)
{
	struct ts_public_key key;
	struct lab_node *node;
	char name[LAB_NAME_CAP];

	random_key(&key);
	snprintf(name, sizeof(name), "peer-%05lld",
		 (long long)lab->state.last_node_id + 1);
	node = lab_node_add(&lab->state, &key, name);
	if (!node)
		return false;
	fill(lab, node);
	return true;
}

struct lab_node *lab_synthetic_add_as(struct lab *lab, const char *name,
				      const struct ts_public_key *key,
				      const struct ts_public_key *disco,
				      const char *endpoint)
{
	struct lab_node *node = lab_node_add(&lab->state, key, name);

	if (!node)
		return NULL;
	fill(lab, node);
	node->disco = *disco;
	lab_json_replace(&node->endpoints, json_pack("[s]", endpoint));
	return node;
}

size_t lab_synthetic_add(struct lab *lab, size_t count)
{
	size_t n = 0;

	while (n < count && add_one(lab))
		n++;
	return n;
}

size_t lab_synthetic_remove(struct lab *lab, size_t count)
{
	struct lab_state *st = &lab->state;
	size_t n = 0;

	for (size_t i = st->node_count; i-- > 0 && n < count;)
		if (st->nodes[i]->synthetic) {
			lab_node_remove(st, st->nodes[i]);
			n++;
		}
	return n;
}

int lab_synthetic_rekey(struct lab *lab, struct lab_node *node)
{
	struct ts_public_key key;

	random_key(&key);
	random_key(&node->disco);
	return lab_node_set_key(&lab->state, node, &key);
}

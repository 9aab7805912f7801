/* SPDX-License-Identifier: BSD-3-Clause
 * samples.h - vectors of the upstream package as bytes, and keys of known seeds
 *
 * vectors.h was made by upstream's code (tka, v1.102.5): the keys are Ed25519
 * of seeds of one byte repeated, 1 to 4, 9 for the node's own; node keys are
 * one byte repeated.
 */
#ifndef TESTS_UNIT_TKA_SAMPLES_H
#define TESTS_UNIT_TKA_SAMPLES_H

#include "../test.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/tka/tka.h"
#include "vectors.h"

struct sample {
	uint8_t *data;
	size_t len;
};

/* Exactly as long as it is, so that a sanitizer sees what reads on. */
static inline struct sample sample(const char *hex)
{
	struct sample s = {.len = strlen(hex) / 2};

	s.data = malloc(s.len ? s.len : 1);
	assert_non_null(s.data);
	assert_int_equal(ts_hex_decode(hex, strlen(hex), s.data, s.len), 0);
	return s;
}

static inline void sample_free(struct sample *s)
{
	free(s->data);
	s->data = NULL;
}

static inline struct ts_nl_private_key nl_key(uint8_t seed_byte)
{
	struct ts_nl_private_key key;
	uint8_t seed[TS_KEY_LEN], public[TS_KEY_LEN];

	memset(seed, seed_byte, sizeof(seed));
	crypto_sign_ed25519_seed_keypair(public, key.bytes, seed);
	return key;
}

static inline struct ts_public_key nl_id(uint8_t seed_byte)
{
	struct ts_nl_private_key key = nl_key(seed_byte);
	struct ts_public_key id;

	ts_nl_public(&key, &id);
	return id;
}

static inline struct ts_public_key node_key(uint8_t byte)
{
	struct ts_public_key key;

	memset(key.bytes, byte, sizeof(key.bytes));
	return key;
}

static inline struct ts_tka_aum *aum_of(const char *hex)
{
	struct sample s = sample(hex);
	struct ts_tka_aum *aum = NULL;

	assert_int_equal(ts_tka_aum_read(s.data, s.len, &aum), 0);
	sample_free(&s);
	return aum;
}

static inline void assert_hash(const struct ts_tka_hash *hash,
			       const char *text)
{
	char got[TS_TKA_HASH_TEXT_CAP];

	assert_string_equal(ts_tka_hash_format(hash, got), text);
}

/* The authority of V_AUM_0. */
static inline struct ts_tka *authority(const struct ts_tka_disk *disk)
{
	struct sample s = sample(V_AUM_0);
	struct ts_tka *tka = NULL;
	const char *why;

	assert_int_equal(ts_tka_bootstrap(ts_tka_chonk_new(disk), s.data,
					  s.len, 1000, &tka, &why),
			 0);
	sample_free(&s);
	return tka;
}

static inline int inform(struct ts_tka *tka, const char *hex)
{
	struct sample s = sample(hex);
	struct ts_tka_update update = {s.data, s.len};
	const char *why;
	int err = ts_tka_inform(tka, &update, 1, 1000, &why);

	sample_free(&s);
	return err;
}

#endif

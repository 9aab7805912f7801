/* SPDX-License-Identifier: BSD-3-Clause
 * keys.h - X25519 and Ed25519 keys and their text forms
 *
 * Private and public keys are different types, so that swapping them does not
 * compile. Text forms are Tailscale's: a prefix and lower-case hex.
 * Source: types/key/{machine,node,disco,nl}.go
 */
#ifndef CORE_CRYPTO_KEYS_H
#define CORE_CRYPTO_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TS_KEY_LEN = 32,
	TS_KEY_TEXT_CAP = 96,	 /* longest prefix + 64 hex + NUL */
	TS_NLKEY_TEXT_CAP = 144, /* "nlpriv:" + 128 hex + NUL */
	TS_KEY_SHORT_CAP = 24,	 /* "[AbCdE]" or "d:0123456789abcdef" */
};

struct ts_private_key {
	uint8_t bytes[TS_KEY_LEN];
};
struct ts_public_key {
	uint8_t bytes[TS_KEY_LEN];
};
/* Ed25519: seed and public half, 64 bytes. */
struct ts_nl_private_key {
	uint8_t bytes[2 * TS_KEY_LEN];
};

#define TS_PREFIX_PRIVATE "privkey:"
#define TS_PREFIX_MACHINE "mkey:"
#define TS_PREFIX_NODE "nodekey:"
#define TS_PREFIX_DISCO "discokey:"
#define TS_PREFIX_NL_PRIVATE "nlpriv:"
#define TS_PREFIX_NL_PUBLIC "nlpub:"
#define TS_PREFIX_CHALLENGE "chalpub:"

void ts_private_key_generate(struct ts_private_key *out); /* clamped */
void ts_public_key_from_private(const struct ts_private_key *key,
				struct ts_public_key *out);
bool ts_private_key_is_zero(const struct ts_private_key *key);
bool ts_public_key_is_zero(const struct ts_public_key *key);
bool ts_public_key_equal(const struct ts_public_key *a,
			 const struct ts_public_key *b);
/* X25519; -EACCES when the result is all zero (low-order point). */
int ts_dh(const struct ts_private_key *mine, const struct ts_public_key *theirs,
	  uint8_t out[static TS_KEY_LEN]);

/* prefix is one of TS_PREFIX_*; strict length; -EBADMSG otherwise. */
int ts_public_key_parse(const char *text, const char *prefix,
			struct ts_public_key *out);
int ts_private_key_parse(const char *text, struct ts_private_key *out);
char *ts_public_key_format(const struct ts_public_key *key, const char *prefix,
			   char out[static TS_KEY_TEXT_CAP]);
/* The caller wipes out. */
char *ts_private_key_format(const struct ts_private_key *key,
			    char out[static TS_KEY_TEXT_CAP]);
/* "[AbCdE]" for node and machine keys, the form that upstream logs. */
char *ts_public_key_short(const struct ts_public_key *key,
			  char out[static TS_KEY_SHORT_CAP]);

void ts_nl_key_generate(struct ts_nl_private_key *out);
void ts_nl_public(const struct ts_nl_private_key *key,
		  struct ts_public_key *out);
int ts_nl_key_parse(const char *text, struct ts_nl_private_key *out);
char *ts_nl_key_format(const struct ts_nl_private_key *key,
		       char out[static TS_NLKEY_TEXT_CAP]);

#endif

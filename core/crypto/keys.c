/* SPDX-License-Identifier: BSD-3-Clause
 * keys.c - X25519 and Ed25519 keys and their text forms
 *
 * Private keys are clamped when they are made and stored that way, as
 * upstream does. Hex goes through libsodium's coders, whose time does not
 * depend on the digits.
 * Source: types/key/{machine,node,disco,nl,util}.go
 */
#include "core/crypto/keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "core/crypto/secret.h"

/* The CLI's spelling of TS_PREFIX_NL_PUBLIC; accepted, never written. */
static const char NL_PUBLIC_CLI_PREFIX[] = "tlpub:";

enum { SHORT_RAW_LEN = 4, SHORT_DIGITS = 5 };

void ts_private_key_generate(struct ts_private_key *out)
{
	ts_random_bytes(out->bytes, TS_KEY_LEN);
	out->bytes[0] &= 248;
	out->bytes[31] = (uint8_t)((out->bytes[31] & 127) | 64);
}

void ts_public_key_from_private(const struct ts_private_key *key,
				struct ts_public_key *out)
{
	crypto_scalarmult_base(out->bytes, key->bytes);
}

bool ts_private_key_is_zero(const struct ts_private_key *key)
{
	return sodium_is_zero(key->bytes, TS_KEY_LEN) == 1;
}

bool ts_public_key_is_zero(const struct ts_public_key *key)
{
	static const struct ts_public_key zero; /* no secret: fast */

	return memcmp(key->bytes, zero.bytes, TS_KEY_LEN) == 0;
}

bool ts_public_key_equal(const struct ts_public_key *a,
			 const struct ts_public_key *b)
{
	return ts_secret_equal(a->bytes, b->bytes, TS_KEY_LEN);
}

int ts_dh(const struct ts_private_key *mine, const struct ts_public_key *theirs,
	  uint8_t out[static TS_KEY_LEN])
{
	if (crypto_scalarmult(out, mine->bytes, theirs->bytes) == 0)
		return 0;
	ts_wipe(out, TS_KEY_LEN);
	return -EACCES;
}

/* Text must be the prefix and exactly 2 * len hex digits. */
static int parse_hex(const char *text, const char *prefix, uint8_t *out,
		     size_t len)
{
	size_t prefix_len = strlen(prefix), got;

	if (strncmp(text, prefix, prefix_len) != 0)
		return -EBADMSG;
	text += prefix_len;
	if (strlen(text) != 2 * len ||
	    sodium_hex2bin(out, len, text, 2 * len, NULL, &got, NULL) ||
	    got != len) {
		ts_wipe(out, len);
		return -EBADMSG;
	}
	return 0;
}

static char *format_hex(const char *prefix, const uint8_t *bytes, size_t len,
			char *out)
{
	size_t prefix_len = strlen(prefix);

	memcpy(out, prefix, prefix_len);
	sodium_bin2hex(out + prefix_len, 2 * len + 1, bytes, len);
	return out;
}

int ts_public_key_parse(const char *text, const char *prefix,
			struct ts_public_key *out)
{
	if (strcmp(prefix, TS_PREFIX_NL_PUBLIC) == 0 &&
	    strncmp(text, NL_PUBLIC_CLI_PREFIX, strlen(NL_PUBLIC_CLI_PREFIX)) ==
		    0)
		prefix = NL_PUBLIC_CLI_PREFIX;
	return parse_hex(text, prefix, out->bytes, TS_KEY_LEN);
}

int ts_private_key_parse(const char *text, struct ts_private_key *out)
{
	return parse_hex(text, TS_PREFIX_PRIVATE, out->bytes, TS_KEY_LEN);
}

char *ts_public_key_format(const struct ts_public_key *key, const char *prefix,
			   char out[static TS_KEY_TEXT_CAP])
{
	return format_hex(prefix, key->bytes, TS_KEY_LEN, out);
}

char *ts_private_key_format(const struct ts_private_key *key,
			    char out[static TS_KEY_TEXT_CAP])
{
	return format_hex(TS_PREFIX_PRIVATE, key->bytes, TS_KEY_LEN, out);
}

char *ts_public_key_short(const struct ts_public_key *key,
			  char out[static TS_KEY_SHORT_CAP])
{
	char text[sodium_base64_ENCODED_LEN(SHORT_RAW_LEN,
					    sodium_base64_VARIANT_ORIGINAL)];

	sodium_bin2base64(text, sizeof(text), key->bytes, SHORT_RAW_LEN,
			  sodium_base64_VARIANT_ORIGINAL);
	snprintf(out, TS_KEY_SHORT_CAP, "[%.*s]", SHORT_DIGITS, text);
	return out;
}

void ts_nl_key_generate(struct ts_nl_private_key *out)
{
	uint8_t public_half[TS_KEY_LEN];

	crypto_sign_ed25519_keypair(public_half, out->bytes);
}

void ts_nl_public(const struct ts_nl_private_key *key,
		  struct ts_public_key *out)
{
	memcpy(out->bytes, key->bytes + TS_KEY_LEN, TS_KEY_LEN);
}

/* A public half that is not the seed's would make signatures leak the seed.
 * All zeros is how upstream writes "no key". */
static bool nl_key_is_sound(const struct ts_nl_private_key *key)
{
	uint8_t public_half[TS_KEY_LEN];
	struct ts_nl_private_key fresh;
	bool is_sound;

	if (sodium_is_zero(key->bytes, sizeof(key->bytes)))
		return true;
	crypto_sign_ed25519_seed_keypair(public_half, fresh.bytes, key->bytes);
	is_sound = ts_secret_equal(key, &fresh, sizeof(fresh));
	ts_wipe(&fresh, sizeof(fresh));
	return is_sound;
}

int ts_nl_key_parse(const char *text, struct ts_nl_private_key *out)
{
	int err = parse_hex(text, TS_PREFIX_NL_PRIVATE, out->bytes,
			    sizeof(out->bytes));

	if (!err && !nl_key_is_sound(out)) {
		ts_wipe(out, sizeof(*out));
		err = -EBADMSG;
	}
	return err;
}

char *ts_nl_key_format(const struct ts_nl_private_key *key,
		       char out[static TS_NLKEY_TEXT_CAP])
{
	return format_hex(TS_PREFIX_NL_PRIVATE, key->bytes, sizeof(key->bytes),
			  out);
}

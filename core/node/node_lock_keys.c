/* SPDX-License-Identifier: BSD-3-Clause
 * node_lock_keys.c - signatures that this node makes of its own key
 *
 * A new key needs a signature by the rotation key, which is our own
 * (PROTOCOL 18), around that of the key before; the first one can come from an
 * auth key that brings a credential along:
 *	tskey-auth-...--TL<credential>-<private key>, both in base64
 * Source: tka/sig.go (ResignNKS, DecodeWrappedAuthkey)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/node/node_internal.h"

static const char wrap_mark[] = "--TL";

/* Without padding. */
static int decode_raw(const char *text, size_t text_len, uint8_t **out,
		      size_t *len)
{
	char *padded = calloc(1, text_len + 4);
	size_t n = text_len;
	int err;

	if (!padded)
		return -ENOMEM;
	memcpy(padded, text, text_len);
	while (n % 4)
		padded[n++] = '=';
	err = ts_base64_decode(padded, n, out, len);
	ts_wipe(padded, n);
	free(padded);
	return err;
}

/* By its text form, as that checks that the halves belong together. */
static int read_delegate(const char *text, struct ts_nl_private_key *out)
{
	char key[TS_NLKEY_TEXT_CAP] = TS_PREFIX_NL_PRIVATE;
	uint8_t *raw;
	size_t len;
	int err = decode_raw(text, strlen(text), &raw, &len);

	if (err)
		return err;
	if (len == sizeof(out->bytes)) {
		ts_hex_encode(raw, len, key + strlen(TS_PREFIX_NL_PRIVATE));
		err = ts_nl_key_parse(key, out);
	} else {
		err = -EBADMSG;
	}
	ts_wipe(raw, len);
	ts_wipe(key, sizeof(key));
	free(raw);
	return err;
}

static int sign_by_auth_key(const char *auth_key,
			    const struct ts_public_key *key,
			    uint8_t out[static TS_NKS_LEN_MAX])
{
	const char *suffix = strstr(auth_key, wrap_mark) +
			     strlen(wrap_mark);
	const char *dash = strchr(suffix, '-');
	struct ts_nl_private_key delegate;
	uint8_t *credential;
	size_t len;
	int err;

	if (!dash)
		return -EBADMSG;
	err = decode_raw(suffix, (size_t)(dash - suffix), &credential, &len);
	if (err)
		return err;
	err = read_delegate(dash + 1, &delegate);
	if (!err)
		err = ts_nks_sign_by_credential(&delegate, credential, len,
						key, out);
	ts_wipe(&delegate, sizeof(delegate));
	free(credential);
	return err;
}

static int sign_over(const struct ts_node *node,
		     const struct ts_public_key *key, const char *old_text,
		     uint8_t out[static TS_NKS_LEN_MAX])
{
	uint8_t *old;
	size_t len;
	int err = ts_base64_decode(old_text, strlen(old_text), &old, &len);

	if (err)
		return err;
	err = ts_nks_resign(node_lock_own_key(node), key, old, len, out);
	free(old);
	return err;
}

char *node_lock_sign_key(const struct ts_node *node,
			 const struct ts_public_key *key,
			 const char *old_signature, const char *auth_key)
{
	uint8_t signature[TS_NKS_LEN_MAX];
	int len;

	if (old_signature)
		len = sign_over(node, key, old_signature, signature);
	else if (auth_key && strstr(auth_key, wrap_mark))
		len = sign_by_auth_key(auth_key, key, signature);
	else
		return NULL;
	if (len > 0)
		return ts_base64_encode(signature, (size_t)len);
	log_warn("node-%s: Tailnet Lock: cannot sign our node key: %s",
		 node->prefs.hostname,
		 old_signature ? ts_strerror(len)
			       : "the auth key's wrapping is damaged");
	return NULL;
}

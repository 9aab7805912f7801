/* SPDX-License-Identifier: BSD-3-Clause
 * tls_tickets.c - sessions that TLS clients take up again, kept by them
 * Source: RFC 5077, RFC 8446 (4.6.1, 4.2.11)
 *
 * A ticket is a session's secrets, sealed by a key that only this process has:
 * whoever brings it back spares both sides a signature. Who learns the key
 * can read what was resumed by its tickets, so no key lives long: a new one
 * every few hours, the one before it still opens what it sealed, and then it is
 * wiped. Keys are never stored.
 *
 * A resumed session shows no certificate. So that nobody gets one that was made
 * for another name, OpenSSL compares a context: the node's, and the client's
 * words for the name, which are hashed as they are.
 */
#include "core/host/tls_tickets.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/host/host_internal.h"

enum { KEY_NAME_LEN = 16, IV_LEN = 16, SECRET_LEN = 32, CONTEXT_LEN = 32 };

struct ticket_key {
	uint8_t name[KEY_NAME_LEN];
	uint8_t cipher[SECRET_LEN], mac[SECRET_LEN];
};

struct ts_tls_tickets {
	struct ts_loop *loop;
	struct ts_timer *turn;
	struct ticket_key now, before;
};

/* -- keys ----------------------------------------------------------------- */

static void on_turn(void *ctx)
{
	struct ts_tls_tickets *t = ctx;

	t->before = t->now;
	ts_random_bytes(&t->now, sizeof(t->now));
	ts_timer_set(t->turn, ts_loop_now_ms(t->loop) + TS_TLS_TICKETS_MS);
}

void ts_tls_tickets_forget(struct ts_tls_tickets *t)
{
	ts_random_bytes(&t->now, sizeof(t->now));
	on_turn(t);
}

struct ts_tls_tickets *ts_tls_tickets_new(struct ts_loop *loop)
{
	struct ts_tls_tickets *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->loop = loop;
	t->turn = ts_timer_new(loop, on_turn, t);
	if (!t->turn) {
		free(t);
		return NULL;
	}
	ts_tls_tickets_forget(t);
	return t;
}

void ts_tls_tickets_free(struct ts_tls_tickets *t)
{
	if (!t)
		return;
	ts_timer_free(t->turn);
	ts_wipe(t, sizeof(*t));
	free(t);
}

/* -- tickets -------------------------------------------------------------- */

static bool set_mac(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
						  (void *)(uintptr_t)key->mac,
						  sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
						 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* -1: broken, 0: unknown (a whole handshake), 1: fine, 2: fine, with a new
 * ticket. */
int ts_tls_tickets_key(struct ts_tls_tickets *t, unsigned char *name,
		       unsigned char *iv, EVP_CIPHER_CTX *cipher,
		       EVP_MAC_CTX *mac, int is_new)
{
	const struct ticket_key *key = &t->now;

	if (is_new) {
		memcpy(name, key->name, KEY_NAME_LEN);
		ts_random_bytes(iv, IV_LEN);
		return EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(),
					   key->cipher, iv, NULL) == 1 &&
		       set_mac(mac, key) ? 1 : -1;
	}
	if (memcmp(name, t->before.name, KEY_NAME_LEN) == 0)
		key = &t->before;
	else if (memcmp(name, key->name, KEY_NAME_LEN) != 0)
		return 0;
	if (EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key->cipher, iv,
				NULL) != 1 || !set_mac(mac, key))
		return -1;
	return key == &t->now ? 1 : 2;
}

/* -- whose they are ------------------------------------------------------- */

int ts_tls_tickets_bind(SSL *ssl, const struct ts_member *member,
			const char *name)
{
	unsigned char context[EVP_MAX_MD_SIZE];
	const unsigned char *asked = NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned len = 0;
	size_t asked_len = 0;
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

	if (!*name)
		SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &asked,
					  &asked_len);
	ok = ok && EVP_DigestUpdate(md, &member->index,
				    sizeof(member->index)) == 1;
	ok = ok && EVP_DigestUpdate(md, name, strlen(name) + 1) == 1;
	ok = ok && EVP_DigestUpdate(md, asked, asked_len) == 1;
	ok = ok && EVP_DigestFinal_ex(md, context, &len) == 1 &&
	     SSL_set_session_id_context(ssl, context, CONTEXT_LEN) == 1;
	EVP_MD_CTX_free(md);
	return ok ? 0 : -ENOMEM;
}

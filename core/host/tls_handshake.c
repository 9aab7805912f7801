/* SPDX-License-Identifier: BSD-3-Clause
 * tls_handshake.c - whose certificate is shown, and what both will speak
 * Source: ipn/ipnlocal/serve.go (serveTLSConfig), client/local/cert.go, RFC 8737
 *
 * In the middle of a handshake OpenSSL asks for the certificate; it is put off
 * until the engine has it, which may mean that a CA is asked. Who asks for no
 * name gets an alert, and so does who asks for one that this node may not have.
 *
 * A CA that looks at a tls-alpn-01 challenge offers that protocol alone. It is
 * shown the proof for the name, and that is all: the owner hears that the client
 * has gone. Without a challenge under way it is turned away.
 */
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "core/acme/alpn_cert.h"
#include "core/base/err.h"
#include "core/host/tls_conn.h"

/* -- certificates --------------------------------------------------------- */

static STACK_OF(X509) *read_rest(BIO *bio)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *cert;

	while (chain && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (!sk_X509_push(chain, cert)) {
			X509_free(cert);
			break;
		}
	return chain;
}

static bool use_pair(SSL *ssl, const char *key_pem, const char *chain_pem)
{
	BIO *keys = BIO_new_mem_buf(key_pem, -1);
	BIO *certs = BIO_new_mem_buf(chain_pem, -1);
	EVP_PKEY *key = keys ? PEM_read_bio_PrivateKey(keys, NULL, NULL,
						       (void *)"") : NULL;
	X509 *leaf = certs ? PEM_read_bio_X509(certs, NULL, NULL, NULL) : NULL;
	STACK_OF(X509) *chain = leaf ? read_rest(certs) : NULL;
	bool ok = key && chain &&
		  SSL_use_cert_and_key(ssl, leaf, key, chain, 1) == 1;

	sk_X509_pop_free(chain, X509_free);
	X509_free(leaf);
	EVP_PKEY_free(key);
	BIO_free(certs);
	BIO_free(keys);
	ERR_clear_error();
	return ok;
}

static void on_certificate(void *ctx, const char *key_pem,
			   const char *chain_pem, const char *error)
{
	struct ts_tls_conn *conn = ctx;
	struct ts_tls_server *server = conn->host->tls;

	conn->cert_request = NULL;
	conn->due_ms = ts_host_now_ms(conn->host) + TS_TLS_HANDSHAKE_MS;
	if (!error && !use_pair(conn->ssl, key_pem, chain_pem))
		error = "cannot use it";
	conn->has_cert = !error;
	conn->cert_failed = error != NULL;
	if (error && ts_log_allowed(&server->limit, ts_host_now_ms(conn->host)))
		log_warn("tls: no certificate for \"%s\": %s", conn->name,
			 error);
	ts_tls_line_up(conn);
}

/* 1: go on, 0: fail, -1: not yet. */
static int on_want_certificate(SSL *ssl, void *ctx)
{
	struct ts_tls_conn *conn = SSL_get_app_data(ssl);
	const struct ts_member *member = conn->member;

	(void)ctx;
	if (conn->has_cert)
		return 1;
	if (conn->cert_failed || conn->is_proof || !member->certs)
		return 0;
	if (conn->cert_request)
		return -1;
	conn->cert_request =
		member->certs->start(member->certs_ctx, conn->name,
				     TS_TLS_CERTIFICATE_MS, on_certificate,
				     conn);
	conn->due_ms = ts_host_now_ms(conn->host) + TS_TLS_CERTIFICATE_MS +
		       TS_TLS_HANDSHAKE_MS;
	return conn->cert_request ? -1 : 0;
}

/* Before the protocol is chosen: so that is not, where there is none. */
static void use_proof(struct ts_tls_conn *conn)
{
	const struct ts_member *member = conn->member;
	const char *key_pem, *chain_pem;

	if (member->certs && member->certs->proof &&
	    member->certs->proof(member->certs_ctx, conn->name, &key_pem,
				 &chain_pem))
		conn->has_cert = use_pair(conn->ssl, key_pem, chain_pem);
}

/* Once for each ClientHello, with a name or without. */
static int on_server_name(SSL *ssl, int *alert, void *ctx)
{
	struct ts_tls_conn *conn = SSL_get_app_data(ssl);
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	size_t len = asked ? strlen(asked) : 0;

	(void)ctx;
	if (conn->has_fixed_name) {
		if (conn->is_proof)
			use_proof(conn);
		return SSL_TLSEXT_ERR_OK;
	}
	if (len == 0 || len >= sizeof(conn->name)) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	for (size_t i = 0; i <= len; i++)
		conn->name[i] = (char)tolower((unsigned char)asked[i]);
	if (conn->is_proof)
		use_proof(conn);
	return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		   const unsigned char *in, unsigned in_len, void *ctx)
{
	const struct ts_tls_conn *conn = SSL_get_app_data(ssl);
	const char *offer = conn->is_proof ? TS_ACME_ALPN_LIST : conn->alpn;
	unsigned char *chosen;

	(void)ctx;
	if (!offer)
		return SSL_TLSEXT_ERR_NOACK;
	if ((conn->is_proof && !conn->has_cert) ||
	    SSL_select_next_proto(&chosen, out_len,
				  (const unsigned char *)offer,
				  (unsigned)strlen(offer), in,
				  in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* -- sessions ------------------------------------------------------------- */

/* The list has its length in front, and this protocol alone in it. */
static bool asks_for_proof(SSL *ssl)
{
	static const unsigned char list[] = "\0\x0b" TS_ACME_ALPN_LIST;
	const unsigned char *asked;
	size_t len;

	return SSL_client_hello_get0_ext(
		       ssl,
		       TLSEXT_TYPE_application_layer_protocol_negotiation,
		       &asked, &len) == 1 &&
	       len == sizeof(list) - 1 && memcmp(asked, list, len) == 0;
}

/* Once, or twice where the client has to say it otherwise. */
static int on_client_hello(SSL *ssl, int *alert, void *ctx)
{
	struct ts_tls_conn *conn = SSL_get_app_data(ssl);

	(void)ctx;
	conn->is_proof = asks_for_proof(ssl);
	conn->has_cert = false;
	if (ts_tls_tickets_bind(ssl, conn->member, conn->has_fixed_name
							   ? conn->name : ""))
	{
		*alert = SSL_AD_INTERNAL_ERROR;
		return SSL_CLIENT_HELLO_ERROR;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv,
		     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_new)
{
	const struct ts_tls_conn *conn = SSL_get_app_data(ssl);

	return ts_tls_tickets_key(conn->host->tls->tickets, name, iv, cipher,
				  mac, is_new);
}

/* -- the handshake -------------------------------------------------------- */

static void note_protocol(struct ts_tls_conn *conn)
{
	const unsigned char *protocol;
	unsigned len;

	SSL_get0_alpn_selected(conn->ssl, &protocol, &len);
	if (len < sizeof(conn->protocol) && len > 0)
		memcpy(conn->protocol, protocol, len);
}

static const char *why_failed(void)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	return reason ? reason : "the client has gone";
}

int ts_tls_failure_of(struct ts_tls_conn *conn, int ret)
{
	switch (SSL_get_error(conn->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
	case SSL_ERROR_WANT_X509_LOOKUP:
		return -EAGAIN;
	default:
		if (conn->err)
			return conn->err;
		return conn->cert_failed ? -EACCES : -EPROTO;
	}
}

void ts_tls_shake_hands(struct ts_tls_conn *conn)
{
	int ret, err;

	ERR_clear_error();
	ret = SSL_do_handshake(conn->ssl);
	if (ret == 1) {
		conn->step = TLS_OPEN;
		conn->due_ms = UINT64_MAX;
		note_protocol(conn);
		if (conn->is_proof) { /* it has seen what it came for */
			(void)SSL_shutdown(conn->ssl);
			ts_tls_wire_flush(conn);
			ts_tls_break(conn, 0);
		}
		return;
	}
	err = ts_tls_failure_of(conn, ret);
	if (err == -EAGAIN)
		return;
	log_debug("tls: handshake: %s", why_failed());
	ERR_clear_error();
	ts_tls_wire_flush(conn); /* an alert */
	ts_tls_break(conn, err);
}

/* -- what all have in common ---------------------------------------------- */

SSL_CTX *ts_tls_make_ctx(void)
{
	SSL_CTX *ctx;

	OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, TS_TLS_TICKETS_MS / 1000);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
	SSL_CTX_set_cert_cb(ctx, on_want_certificate, NULL);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	return ctx;
}

/* SPDX-License-Identifier: BSD-3-Clause
 * link_tls.c - one TLS client connection over a non-blocking socket
 * Source: net/tlsdial/tlsdial.go (what is verified)
 *
 * OpenSSL sits on a BIO of our own instead of its socket BIO, for two reasons:
 * that one uses write(), and SIGPIPE would hit the program that we live in;
 * and it reads every record's header and body by separate calls, where we
 * read 32 KiB at once. The BIO does one recv() per readable event, so a fast
 * sender cannot hold the loop.
 *
 * Verified: the chain by OpenSSL itself. A DERP server's meta certificate is a
 * stranger among the intermediates, and OpenSSL leaves those out of the path.
 * Pinned: the leaf's SHA-256, dates and name count, and nothing else; there
 * must be one certificate beside the meta certificate.
 */
#include "core/io/link_tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/addr.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/io/link_cert.h"

enum { READ_BUF_LEN = 32768 };

struct ts_tls {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO_METHOD *bio_method;
	int fd;
	int recv_budget; /* recv() calls left; -1: no limit (handshake) */
	bool wants_write;
	bool is_pinned;
	uint8_t pin[32];
	const char *name; /* that the certificate must have; in config's copy */
	int io_err;	  /* negative errno of the socket, or 0 */
	size_t at, len;	  /* of buf */
	uint8_t buf[READ_BUF_LEN];
};

int ts_tls_init(void)
{
	return OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL) ? 0 : -EIO;
}

/* -- the socket as a BIO -------------------------------------------------- */

/* 1: buf has bytes, 0: end of stream, -1: not now or failed (io_err). */
static int refill(struct ts_tls *tls)
{
	ssize_t got;

	if (tls->recv_budget == 0)
		return -1;
	if (tls->recv_budget > 0)
		tls->recv_budget--;
	do
		got = recv(tls->fd, tls->buf, sizeof(tls->buf), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno != EAGAIN)
		tls->io_err = -errno;
	if (got <= 0)
		return got < 0 ? -1 : 0;
	tls->at = 0;
	tls->len = (size_t)got;
	return 1;
}

static int bio_read(BIO *bio, char *out, size_t cap, size_t *done)
{
	struct ts_tls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*done = 0;
	if (tls->at == tls->len) {
		int got = refill(tls);

		if (got < 0 && !tls->io_err)
			BIO_set_retry_read(bio);
		if (got <= 0)
			return 0;
	}
	*done = tls->len - tls->at < cap ? tls->len - tls->at : cap;
	memcpy(out, tls->buf + tls->at, *done);
	tls->at += *done;
	return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *done)
{
	struct ts_tls *tls = BIO_get_data(bio);
	ssize_t sent;

	BIO_clear_retry_flags(bio);
	*done = 0;
	do
		sent = send(tls->fd, data, len, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0) {
		*done = (size_t)sent;
		return 1;
	}
	if (errno == EAGAIN)
		BIO_set_retry_write(bio);
	else
		tls->io_err = -errno;
	return 0;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)bio;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH; /* nothing is kept back */
}

static BIO *make_bio(struct ts_tls *tls)
{
	BIO *bio;

	tls->bio_method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tsnet socket");
	if (!tls->bio_method ||
	    !BIO_meth_set_read_ex(tls->bio_method, bio_read) ||
	    !BIO_meth_set_write_ex(tls->bio_method, bio_write) ||
	    !BIO_meth_set_ctrl(tls->bio_method, bio_ctrl))
		return NULL;
	bio = BIO_new(tls->bio_method);
	if (!bio)
		return NULL;
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	return bio;
}

/* -- set-up --------------------------------------------------------------- */

static int set_names(struct ts_tls *tls, const struct ts_link_config *config)
{
	const char *name = config->verify_name ? config->verify_name
					       : config->host;
	struct ts_ip ip;

	/* RFC 6066: no address literals in SNI. */
	if (ts_ip_parse(config->host, &ip) != 0 &&
	    !SSL_set_tlsext_host_name(tls->ssl, config->host))
		return -ENOMEM;
	tls->name = name;
	if (config->tls != TS_LINK_TLS)
		return 0;
	if (ts_ip_parse(name, &ip) == 0)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl),
						     name) ? 0 : -EINVAL;
	SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(tls->ssl, name) ? 0 : -ENOMEM;
}

static int set_up(struct ts_tls *tls, const struct ts_link_config *config)
{
	static const unsigned char alpn[] = "\x02h2\x08http/1.1";
	const unsigned skip = config->alpn_h2 ? 0 : 3;
	BIO *bio;

	tls->ctx = SSL_CTX_new(TLS_client_method());
	if (!tls->ctx ||
	    !SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION))
		return -ENOMEM;
	SSL_CTX_set_options(tls->ctx, SSL_OP_NO_RENEGOTIATION |
					      SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(tls->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					   SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_OFF);
	if (config->tls == TS_LINK_TLS) {
		SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
		if (config->roots)
			SSL_CTX_set1_cert_store(tls->ctx, config->roots);
		else
			ts_cert_load_roots(tls->ctx);
	}
	tls->ssl = SSL_new(tls->ctx);
	bio = tls->ssl ? make_bio(tls) : NULL;
	if (!bio)
		return -ENOMEM;
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_connect_state(tls->ssl);
	if (!config->no_alpn_h1 &&
	    SSL_set_alpn_protos(tls->ssl, alpn + skip,
				sizeof(alpn) - 1 - skip))
		return -ENOMEM;
	return set_names(tls, config);
}

struct ts_tls *ts_tls_new(int fd, const struct ts_link_config *config,
			  char err[static TS_TLS_ERROR_CAP])
{
	struct ts_tls *tls = calloc(1, sizeof(*tls));
	int code = tls ? ts_tls_init() : -ENOMEM;

	if (!code) {
		tls->fd = fd;
		tls->recv_budget = -1;
		tls->is_pinned = config->tls == TS_LINK_TLS_PINNED;
		memcpy(tls->pin, config->pin, sizeof(tls->pin));
		code = set_up(tls, config);
	}
	ERR_clear_error();
	if (!code)
		return tls;
	snprintf(err, TS_TLS_ERROR_CAP, "TLS set-up: %s", ts_strerror(code));
	ts_tls_free(tls);
	return NULL;
}

void ts_tls_free(struct ts_tls *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl); /* with its BIO */
	BIO_meth_free(tls->bio_method);
	SSL_CTX_free(tls->ctx);
	ts_wipe(tls->buf, sizeof(tls->buf));
	free(tls);
}

/* -- results -------------------------------------------------------------- */

static void describe(struct ts_tls *tls, char err[static TS_TLS_ERROR_CAP])
{
	long verdict = SSL_get_verify_result(tls->ssl);
	unsigned long code = ERR_peek_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	if (tls->io_err)
		reason = ts_strerror(tls->io_err);
	else if (verdict != X509_V_OK && !SSL_is_init_finished(tls->ssl))
		reason = X509_verify_cert_error_string(verdict);
	else if (!reason)
		reason = "connection closed";
	snprintf(err, TS_TLS_ERROR_CAP, "TLS: %s%s", reason,
		 verdict == X509_V_OK || tls->io_err
			 ? ""
			 : ts_cert_missing_roots_hint());
}

/* ret is what an SSL_ function returned; never a success. 0: end of stream. */
static int result_of(struct ts_tls *tls, int ret,
		     char err[static TS_TLS_ERROR_CAP])
{
	switch (SSL_get_error(tls->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		tls->wants_write = true;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		describe(tls, err);
		return tls->io_err ? tls->io_err : -EPROTO;
	}
}

int ts_tls_handshake(struct ts_tls *tls, char err[static TS_TLS_ERROR_CAP])
{
	int ret, code;

	tls->wants_write = false;
	ERR_clear_error();
	ret = SSL_do_handshake(tls->ssl);
	if (ret != 1) {
		code = result_of(tls, ret, err);
		if (!code) {
			snprintf(err, TS_TLS_ERROR_CAP,
				 "TLS: the server hung up");
			code = -ECONNRESET;
		}
		return code;
	}
	if (tls->is_pinned) {
		code = ts_cert_check_pin(tls->ssl, tls->pin, tls->name, err);
		if (code)
			return code;
	}
	tls->recv_budget = 1; /* what came with the last flight is in buf */
	return 0;
}

void ts_tls_readable(struct ts_tls *tls)
{
	tls->recv_budget = 1;
}

ssize_t ts_tls_read(struct ts_tls *tls, void *out, size_t cap,
		    char err[static TS_TLS_ERROR_CAP])
{
	size_t done = 0;
	int ret;

	ERR_clear_error();
	ret = SSL_read_ex(tls->ssl, out, cap, &done);
	if (ret == 1)
		return (ssize_t)done;
	return result_of(tls, ret, err);
}

ssize_t ts_tls_write(struct ts_tls *tls, const void *data, size_t len,
		     char err[static TS_TLS_ERROR_CAP])
{
	size_t done = 0;
	int ret;

	tls->wants_write = false;
	ERR_clear_error();
	ret = SSL_write_ex(tls->ssl, data, len, &done);
	if (ret == 1)
		return (ssize_t)done;
	ret = result_of(tls, ret, err);
	if (!ret)
		snprintf(err, TS_TLS_ERROR_CAP, "TLS: the server hung up");
	return ret ? ret : -EPIPE;
}

bool ts_tls_is_h2(const struct ts_tls *tls)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(tls->ssl, &name, &len);
	return len == 2 && memcmp(name, "h2", 2) == 0;
}

bool ts_tls_wants_write(const struct ts_tls *tls)
{
	return tls->wants_write;
}

void ts_tls_shutdown(struct ts_tls *tls)
{
	if (!tls->io_err && SSL_is_init_finished(tls->ssl))
		SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

bool ts_tls_derp_meta_key(const struct ts_tls *tls, struct ts_public_key *out)
{
	return ts_cert_derp_meta_key(tls->ssl, out);
}

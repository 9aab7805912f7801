/* SPDX-License-Identifier: BSD-3-Clause
 * peer.h - the other end for tests: a scripted server thread, certificates
 *
 * The server serves one connection after the other with blocking calls that
 * give up after three seconds, so that a broken test fails and does not hang.
 */
#ifndef TESTS_UNIT_IO_PEER_H
#define TESTS_UNIT_IO_PEER_H

#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct peer {
	int listen_fd;
	int stop[2]; /* pipe: no more connections are coming */
	uint16_t port;
	pthread_t thread;
	SSL_CTX *ctx; /* NULL: plain */
	int conns;    /* how many connections to serve */
	void (*serve)(struct peer *p, int fd, SSL *ssl);
	char seen[4096]; /* for the script's use, read after peer_join() */
	size_t seen_len;
	size_t total;
};

static inline int peer_listen(uint16_t *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 16) ||
	    getsockname(fd, (struct sockaddr *)&sa, &len))
		abort();
	*port = ntohs(sa.sin_port);
	return fd;
}

static inline void peer_serve_one(struct peer *p, int fd)
{
	SSL *ssl = NULL;

	if (p->ctx) {
		ssl = SSL_new(p->ctx);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) != 1) {
			SSL_free(ssl);
			return;
		}
	}
	p->serve(p, fd, ssl);
	if (ssl)
		SSL_shutdown(ssl);
	SSL_free(ssl);
}

/* A connection that waits goes before the wish to stop. */
static inline int peer_accept(struct peer *p)
{
	struct pollfd fds[2] = {{.fd = p->listen_fd, .events = POLLIN},
				{.fd = p->stop[0], .events = POLLIN}};

	if (poll(fds, 2, 3000) <= 0 || !(fds[0].revents & POLLIN))
		return -1;
	return accept(p->listen_fd, NULL, NULL);
}

static inline void *peer_run(void *ctx)
{
	const struct timeval limit = {.tv_sec = 3};
	struct peer *p = ctx;
	sigset_t ours; /* OpenSSL writes without MSG_NOSIGNAL */

	sigemptyset(&ours);
	sigaddset(&ours, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &ours, NULL);
	for (int i = 0; i < p->conns; i++) {
		int fd = peer_accept(p);

		if (fd < 0)
			break;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		peer_serve_one(p, fd);
		close(fd);
	}
	return NULL;
}

static inline void peer_start_conns(struct peer *p, SSL_CTX *ctx, int conns,
				    void (*serve)(struct peer *, int, SSL *))
{
	memset(p, 0, sizeof(*p));
	p->listen_fd = peer_listen(&p->port);
	p->ctx = ctx;
	p->conns = conns;
	p->serve = serve;
	if (pipe(p->stop) || pthread_create(&p->thread, NULL, peer_run, p))
		abort();
}

static inline void peer_start(struct peer *p, SSL_CTX *ctx,
			      void (*serve)(struct peer *, int, SSL *))
{
	peer_start_conns(p, ctx, 1, serve);
}

static inline void peer_join(struct peer *p)
{
	close(p->stop[1]);
	pthread_join(p->thread, NULL);
	close(p->stop[0]);
	close(p->listen_fd);
}

static inline ssize_t peer_read(int fd, SSL *ssl, void *buf, size_t len)
{
	return ssl ? SSL_read(ssl, buf, (int)len) : recv(fd, buf, len, 0);
}

static inline ssize_t peer_write(int fd, SSL *ssl, const void *buf, size_t len)
{
	return ssl ? SSL_write(ssl, buf, (int)len)
		   : send(fd, buf, len, MSG_NOSIGNAL);
}

/* -- certificates --------------------------------------------------------- */

struct identity {
	EVP_PKEY *key;
	X509 *cert;
};

struct cert_spec {
	const char *common_name;
	const char *san;		/* "DNS:a,IP:1.2.3.4" or NULL */
	const struct identity *issuer;	/* NULL: self-signed */
	long from_s, to_s;		/* relative to now; to 0: one day */
	bool is_ca, is_ed25519;
	unsigned serial;
};

static inline void add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
}

static inline struct identity identity_make(const struct cert_spec *spec)
{
	struct identity id = {
		.key = spec->is_ed25519 ? EVP_PKEY_Q_keygen(NULL, NULL,
							    "ED25519")
					: EVP_EC_gen("P-256"),
		.cert = X509_new(),
	};
	X509_NAME *name = X509_get_subject_name(id.cert);
	const struct identity *issuer = spec->issuer ? spec->issuer : &id;

	X509_set_version(id.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.cert),
			 spec->serial ? spec->serial : 1);
	X509_gmtime_adj(X509_getm_notBefore(id.cert),
			spec->from_s ? spec->from_s : -60);
	X509_gmtime_adj(X509_getm_notAfter(id.cert),
			spec->to_s ? spec->to_s : 86400);
	X509_set_pubkey(id.cert, id.key);
	/* Not MBSTRING_ASC: that one refuses names of DERP's length. */
	X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING,
				   (const unsigned char *)spec->common_name,
				   -1, -1, 0);
	X509_set_issuer_name(id.cert, X509_get_subject_name(issuer->cert));
	if (spec->is_ca)
		add_extension(id.cert, NID_basic_constraints,
			      "critical,CA:TRUE");
	if (spec->san)
		add_extension(id.cert, NID_subject_alt_name, spec->san);
	X509_sign(id.cert, issuer->key,
		  EVP_PKEY_is_a(issuer->key, "ED25519") ? NULL : EVP_sha256());
	return id;
}

static inline void identity_free(struct identity *id)
{
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
}

static inline SSL_CTX *server_ctx(const struct identity *id,
				  const struct identity *extra)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (SSL_CTX_use_certificate(ctx, id->cert) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, id->key) != 1)
		abort();
	if (extra) {
		X509_up_ref(extra->cert);
		SSL_CTX_add_extra_chain_cert(ctx, extra->cert);
	}
	return ctx;
}

static inline void write_pem(const char *path, X509 *cert)
{
	FILE *f = fopen(path, "w");

	if (!f || !PEM_write_X509(f, cert) || fclose(f))
		abort();
}

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 * test_tls_server.c - TLS that the host ends, with OpenSSL as the client
 */
#include "fake_stack.h"

#include "host_fixture.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <time.h>

#include "core/acme/alpn_cert.h"
#include "core/host/tls_server.h"
#include "unit/acme/test_ca.h"

#define NAME "web.tail.ts.net"

enum { DAY = 86400, BULK = 4 * 1024 * 1024 };

struct bench {
	struct fixture f;
	struct test_ca ca;
	struct ts_cert_pair pair;
	struct ts_cert_pair proof; /* NULLs: no CA is looking */
	/* The engine's part. */
	char asked[256];
	ts_host_cert_fn fn;
	void *fn_ctx;
	const char *refusal; /* NULL: there is a certificate */
	int starts, cancels;
	bool is_late; /* answered by the test */
	/* A connection: the client's end, the program's end. */
	int client, program, host_cipher, host_plain;
	struct ts_tls_wish wish;
	int ended;
};

static void answer(void *ctx)
{
	struct bench *b = ctx;
	ts_host_cert_fn fn = b->fn;

	b->fn = NULL;
	if (fn)
		fn(b->fn_ctx, b->refusal ? NULL : b->pair.key_pem,
		   b->refusal ? NULL : b->pair.chain_pem, b->refusal);
}

static void *start_cert(void *ctx, const char *name, unsigned limit_ms,
			ts_host_cert_fn fn, void *fn_ctx)
{
	struct bench *b = ctx;

	(void)limit_ms;
	b->starts++;
	snprintf(b->asked, sizeof(b->asked), "%s", name);
	b->fn = fn;
	b->fn_ctx = fn_ctx;
	if (!b->is_late && ts_loop_post(b->f.loop, answer, b))
		abort();
	return b;
}

static void cancel_cert(void *request)
{
	struct bench *b = request;

	b->cancels++;
	b->fn = NULL;
}

static bool show_proof(void *ctx, const char *name, const char **key_pem,
		       const char **chain_pem)
{
	const struct bench *b = ctx;

	if (!b->proof.key_pem || strcmp(name, NAME) != 0)
		return false;
	*key_pem = b->proof.key_pem;
	*chain_pem = b->proof.chain_pem;
	return true;
}

static const struct ts_host_cert_ops cert_ops = {
	.start = start_cert,
	.cancel = cancel_cert,
	.proof = show_proof,
};

static void set_certs(struct fixture *f, void *ctx)
{
	ts_host_set_certs(ts_host_first(f->host), &cert_ops, ctx);
}

static void open_bench(struct bench *b)
{
	int64_t now = time(NULL);

	memset(b, 0, sizeof(*b));
	open_fixture(&b->f);
	ca_open(&b->ca, now);
	b->pair = ca_pair(&b->ca, NAME, now - DAY, now + DAY);
	on_loop(&b->f, set_certs, b);
}

static void close_bench(struct bench *b)
{
	close_fixture(&b->f);
	ts_cert_pair_deinit(&b->pair);
	ts_cert_pair_deinit(&b->proof);
	ca_close(&b->ca);
}

static void on_ended(void *ctx)
{
	__atomic_add_fetch(&((struct bench *)ctx)->ended, 1, __ATOMIC_SEQ_CST);
}

static void join(struct fixture *f, void *ctx)
{
	struct bench *b = ctx;
	struct ts_addr remote = {.port = 1};

	ts_ip_parse(PEER, &remote.ip);
	ts_tls_join(ts_host_first(f->host), NULL, b->host_cipher, &remote,
		    &b->wish, b->host_plain, NULL, on_ended, b);
}

static void make_pair(int *test_end, int *host_end)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    fds), 0);
	*test_end = fds[0];
	*host_end = fds[1];
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
}

static void begin(struct bench *b)
{
	b->ended = 0;
	make_pair(&b->client, &b->host_cipher);
	make_pair(&b->program, &b->host_plain);
	on_loop(&b->f, join, b);
}

static void wait_ended(struct bench *b, int count)
{
	for (int i = 0; i < WAIT_MS; i++) {
		if (__atomic_load_n(&b->ended, __ATOMIC_SEQ_CST) >= count)
			return;
		usleep(1000);
	}
	fail_msg("it does not end");
}

static void end_pair(struct bench *b)
{
	close(b->client);
	close(b->program);
}

/* A client that has read nothing yet. */
static SSL *new_client(struct bench *b, const char *name, int version,
		       const char *alpn)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), b->ca.root);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	if (name) {
		SSL_set_tlsext_host_name(ssl, name);
		SSL_set1_host(ssl, NAME);
	}
	if (alpn)
		SSL_set_alpn_protos(ssl, (const unsigned char *)alpn,
				    (unsigned)strlen(alpn));
	SSL_set_fd(ssl, b->client);
	return ssl;
}

static void a_name_gets_its_certificate(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct bench b;
	char got[64] = "";

	(void)state;
	open_bench(&b);
	for (size_t i = 0; i < 2; i++) {
		SSL *ssl;

		begin(&b);
		ssl = new_client(&b, "WEB.tail.ts.net", versions[i], NULL);
		assert_int_equal(SSL_connect(ssl), 1);
		assert_string_equal(b.asked, NAME);
		assert_int_equal(SSL_write(ssl, "hello", 5), 5);
		assert_int_equal(recv(b.program, got, 5, MSG_WAITALL), 5);
		assert_memory_equal(got, "hello", 5);
		assert_int_equal(send(b.program, "there", 5, 0), 5);
		assert_int_equal(SSL_read(ssl, got, sizeof(got)), 5);
		assert_memory_equal(got, "there", 5);
		/* One end after the other. */
		assert_int_equal(SSL_shutdown(ssl), 0);
		assert_int_equal(recv(b.program, got, sizeof(got), 0), 0);
		assert_int_equal(send(b.program, "last", 4, 0), 4);
		shutdown(b.program, SHUT_WR);
		assert_int_equal(SSL_read(ssl, got, sizeof(got)), 4);
		assert_int_equal(SSL_read(ssl, got, sizeof(got)), 0);
		assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
		wait_ended(&b, 1);
		SSL_free(ssl);
		end_pair(&b);
	}
	close_bench(&b);
}

static void *send_bulk(void *ctx)
{
	const struct bench *b = ctx;
	char *data = calloc(1, BULK);

	for (size_t i = 0; i < BULK; i++)
		data[i] = (char)(i * 31 + (i >> 8));
	for (size_t at = 0; at < BULK;) {
		ssize_t n = send(b->program, data + at, BULK - at, 0);

		if (n <= 0)
			break;
		at += (size_t)n;
	}
	shutdown(b->program, SHUT_WR);
	free(data);
	return NULL;
}

/* The client reads when the host's buffers are full. */
static void a_slow_client_gets_all(void **state)
{
	static char piece[16384];
	struct bench b;
	pthread_t thread;
	size_t at = 0;
	SSL *ssl;
	int n;

	(void)state;
	open_bench(&b);
	begin(&b);
	ssl = new_client(&b, NAME, TLS1_3_VERSION, NULL);
	assert_int_equal(SSL_connect(ssl), 1);
	pthread_create(&thread, NULL, send_bulk, &b);
	usleep(50000);
	while ((n = SSL_read(ssl, piece, sizeof(piece))) > 0)
		for (int i = 0; i < n; i++, at++)
			assert_int_equal(piece[i],
					 (char)(at * 31 + (at >> 8)));
	assert_int_equal(at, BULK);
	pthread_join(thread, NULL);
	SSL_shutdown(ssl);
	wait_ended(&b, 1);
	SSL_free(ssl);
	end_pair(&b);
	close_bench(&b);
}

/* What a failed handshake leaves: an alert, and a program that is told. */
static void fails_by(struct bench *b, SSL *ssl, int alert)
{
	char byte;

	assert_int_not_equal(SSL_connect(ssl), 1);
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()),
			 SSL_AD_REASON_OFFSET + alert);
	ERR_clear_error();
	wait_ended(b, 1);
	assert_true(recv(b->program, &byte, 1, 0) <= 0);
	SSL_free(ssl);
	end_pair(b);
}

static void who_asks_for_no_name_is_told(void **state)
{
	struct bench b;

	(void)state;
	open_bench(&b);
	begin(&b);
	fails_by(&b, new_client(&b, NULL, TLS1_3_VERSION, NULL),
		 SSL_AD_UNRECOGNIZED_NAME);
	assert_int_equal(b.starts, 0);
	close_bench(&b);
}

static void a_fixed_name_needs_none(void **state)
{
	struct bench b;
	SSL *ssl;

	(void)state;
	open_bench(&b);
	b.wish.name = NAME;
	begin(&b);
	ssl = new_client(&b, NULL, TLS1_3_VERSION, NULL);
	assert_int_equal(SSL_connect(ssl), 1);
	assert_string_equal(b.asked, NAME);
	SSL_free(ssl);
	end_pair(&b);
	wait_ended(&b, 1);
	close_bench(&b);
}

static void a_certificate_that_cannot_be_had_is_an_alert(void **state)
{
	struct bench b;

	(void)state;
	open_bench(&b);
	b.refusal = "no";
	begin(&b);
	fails_by(&b, new_client(&b, NAME, TLS1_3_VERSION, NULL),
		 SSL_AD_INTERNAL_ERROR);
	close_bench(&b);
}

static void protocols_are_those_of_the_owner(void **state)
{
	const unsigned char *chosen;
	struct bench b;
	unsigned len;
	SSL *ssl;

	(void)state;
	open_bench(&b);
	b.wish.alpn = TS_ALPN_HTTP1;
	begin(&b);
	ssl = new_client(&b, NAME, TLS1_3_VERSION, TS_ALPN_HTTP2_HTTP1);
	assert_int_equal(SSL_connect(ssl), 1);
	SSL_get0_alpn_selected(ssl, &chosen, &len);
	assert_int_equal(len, 8);
	assert_memory_equal(chosen, "http/1.1", 8);
	SSL_free(ssl);
	end_pair(&b);
	wait_ended(&b, 1);
	begin(&b);
	fails_by(&b, new_client(&b, NAME, TLS1_3_VERSION, "\x02h3"),
		 SSL_AD_NO_APPLICATION_PROTOCOL);
	close_bench(&b);
}

/* -- a CA that looks (tls-alpn-01) ---------------------------------------- */

/* Is the proof shown, and the end after it? */
static void check_look(struct bench *b, int version)
{
	const unsigned char *chosen;
	unsigned len;
	char byte;
	SSL *ssl;
	X509 *leaf;

	begin(b);
	ssl = new_client(b, NAME, version, TS_ACME_ALPN_LIST);
	SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	assert_int_equal(SSL_connect(ssl), 1);
	SSL_get0_alpn_selected(ssl, &chosen, &len);
	assert_int_equal(len, 10);
	assert_memory_equal(chosen, "acme-tls/1", 10);
	leaf = SSL_get1_peer_certificate(ssl);
	assert_int_equal(X509_get_ext_count(leaf), 2);
	X509_free(leaf);
	assert_int_equal(SSL_read(ssl, &byte, 1), 0);
	assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
	wait_ended(b, 1);
	assert_int_equal(recv(b->program, &byte, 1, 0), 0);
	SSL_free(ssl);
	end_pair(b);
}

static void a_ca_is_shown_the_proof_and_nobody_else(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	static const uint8_t digest[TS_SHA256_LEN] = {1, 2, 3};
	struct bench b;
	SSL *ssl;

	(void)state;
	open_bench(&b);
	for (size_t i = 0; i < 2; i++) {
		/* Nobody is expected. */
		begin(&b);
		fails_by(&b, new_client(&b, NAME, versions[i],
					TS_ACME_ALPN_LIST),
			 i ? SSL_AD_NO_APPLICATION_PROTOCOL
			   : SSL_AD_INTERNAL_ERROR);
		assert_int_equal(b.starts, 0);
		ts_acme_alpn_cert(NAME, digest, time(NULL), &b.proof);
		check_look(&b, versions[i]);
		b.wish.name = NAME; /* a port whose certificate is fixed */
		check_look(&b, versions[i]);
		b.wish.name = NULL;
		begin(&b);
		fails_by(&b, new_client(&b, "other.ts.net", versions[i],
					TS_ACME_ALPN_LIST),
			 i ? SSL_AD_NO_APPLICATION_PROTOCOL
			   : SSL_AD_INTERNAL_ERROR);
		assert_int_equal(b.starts, 0);
		/* A client with other words besides has the usual one. */
		begin(&b);
		ssl = new_client(&b, NAME, versions[i],
				 TS_ACME_ALPN_LIST TS_ALPN_HTTP1);
		assert_int_equal(SSL_connect(ssl), 1);
		SSL_free(ssl);
		end_pair(&b);
		wait_ended(&b, 1);
		assert_int_equal(b.starts, 1);
		b.starts = 0;
		ts_cert_pair_deinit(&b.proof);
	}
	close_bench(&b);
}

/* -- sessions that are taken up ------------------------------------------- */

static SSL_SESSION *last_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(last_session);
	last_session = session;
	return 1;
}

/* One connection with its ticket, which the client keeps. Was the session that
 * it brought taken up? */
static bool resumes(struct bench *b, const char *name, int version,
		    SSL_SESSION *session)
{
	char got[8];
	bool was_taken_up;
	SSL *ssl;

	begin(b);
	ssl = new_client(b, name, version, NULL);
	SSL_set1_host(ssl, NULL);
	SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(SSL_get_SSL_CTX(ssl),
				       SSL_SESS_CACHE_CLIENT |
				       SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(SSL_get_SSL_CTX(ssl), keep_session);
	if (session) { /* OpenSSL uses each once */
		session = SSL_SESSION_dup(session);
		assert_int_equal(SSL_set_session(ssl, session), 1);
		SSL_SESSION_free(session);
	}
	assert_int_equal(SSL_connect(ssl), 1);
	was_taken_up = SSL_session_reused(ssl);
	assert_int_equal(send(b->program, "x", 1, 0), 1);
	assert_int_equal(SSL_read(ssl, got, sizeof(got)), 1);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	end_pair(b);
	wait_ended(b, 1);
	return was_taken_up;
}

static SSL_SESSION *take_session(void)
{
	SSL_SESSION *session = last_session;

	last_session = NULL;
	assert_non_null(session);
	return session;
}

static void leave_node(struct fixture *f, void *ctx)
{
	(void)ctx;
	ts_tls_server_leave_node(ts_host_first(f->host));
}

static void a_session_is_taken_up_for_its_name_alone(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	struct bench b;

	(void)state;
	open_bench(&b);
	for (size_t i = 0; i < 2; i++) {
		SSL_SESSION *session;

		b.wish.name = NULL;
		b.starts = 0;
		assert_false(resumes(&b, NAME, versions[i], NULL));
		session = take_session();
		assert_true(resumes(&b, NAME, versions[i], session));
		assert_true(resumes(&b, NAME, versions[i], session));
		/* No certificate is needed for that, */
		assert_int_equal(b.starts, 1);
		/* and for another name there is no other way. */
		assert_false(resumes(&b, "other.ts.net", versions[i], session));
		assert_string_equal(b.asked, "other.ts.net");
		b.wish.name = "fixed.ts.net";
		assert_false(resumes(&b, NAME, versions[i], session));
		assert_string_equal(b.asked, "fixed.ts.net");
		assert_int_equal(b.starts, 3);
		b.wish.name = NULL;
		/* Another node takes this one's place. */
		on_loop(&b.f, leave_node, NULL);
		assert_false(resumes(&b, NAME, versions[i], session));
		SSL_SESSION_free(session);
	}
	SSL_SESSION_free(last_session);
	last_session = NULL;
	close_bench(&b);
}

static void strange_tickets_are_whole_handshakes(void **state)
{
	uint8_t *der = NULL;
	const unsigned char *at;
	SSL_SESSION *session;
	struct bench b;
	size_t len;

	(void)state;
	open_bench(&b);
	resumes(&b, NAME, TLS1_3_VERSION, NULL);
	session = take_session();
	len = (size_t)i2d_SSL_SESSION(session, &der);
	SSL_SESSION_get0_ticket(session, &at, &(size_t){0});
	for (size_t i = 0; i + 20 < len; i++) {
		/* The ticket's key, and a byte of what it seals. */
		static const size_t bits[] = {3, 20, 60};
		const unsigned char *copy = der;

		if (memcmp(der + i, at, 20) != 0)
			continue;
		for (size_t k = 0; k < 3; k++) {
			SSL_SESSION *bad;

			der[i + bits[k]] ^= 1;
			copy = der;
			bad = d2i_SSL_SESSION(NULL, &copy, (long)len);
			assert_non_null(bad);
			assert_false(resumes(&b, NAME, TLS1_3_VERSION, bad));
			SSL_SESSION_free(bad);
			der[i + bits[k]] ^= 1;
		}
		i = len;
	}
	assert_true(resumes(&b, NAME, TLS1_3_VERSION, session));
	SSL_SESSION_free(session);
	SSL_SESSION_free(last_session);
	last_session = NULL;
	OPENSSL_free(der);
	close_bench(&b);
}

/* A client that goes while its certificate is obtained costs no more. */
static void a_wait_is_called_off(void **state)
{
	struct bench b;
	SSL *ssl;

	(void)state;
	open_bench(&b);
	b.is_late = true;
	begin(&b);
	fcntl(b.client, F_SETFL, O_NONBLOCK);
	ssl = new_client(&b, NAME, TLS1_3_VERSION, NULL);
	assert_int_equal(SSL_connect(ssl), -1);
	for (int i = 0; i < WAIT_MS && !b.fn; i++)
		usleep(1000);
	assert_non_null(b.fn);
	close_fixture(&b.f); /* the host ends, and nobody is called */
	assert_int_equal(b.cancels, 1);
	assert_int_equal(b.ended, 1);
	SSL_free(ssl);
	end_pair(&b);
	ts_cert_pair_deinit(&b.pair);
	ca_close(&b.ca);
}

/* The first flight, without anybody who answers. */
static size_t client_hello(struct bench *b, char *out, size_t cap)
{
	SSL *ssl = new_client(b, NAME, TLS1_3_VERSION, NULL);
	BIO *in = BIO_new(BIO_s_mem()), *sent = BIO_new(BIO_s_mem());
	int n;

	SSL_set_bio(ssl, in, sent);
	assert_int_equal(SSL_connect(ssl), -1);
	n = BIO_read(sent, out, (int)cap);
	assert_true(n > 100);
	SSL_free(ssl);
	return (size_t)n;
}

static void what_is_cut_or_no_tls_is_the_end(void **state)
{
	char hello[2048];
	struct bench b;
	size_t len;

	(void)state;
	open_bench(&b);
	b.client = -1;
	len = client_hello(&b, hello, sizeof(hello));
	for (size_t cut = 0; cut < len; cut += 7) {
		begin(&b);
		assert_int_equal(send(b.client, hello, cut, 0), cut);
		shutdown(b.client, SHUT_WR);
		wait_ended(&b, 1);
		end_pair(&b);
	}
	begin(&b);
	assert_int_equal(send(b.client, "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
	wait_ended(&b, 1);
	end_pair(&b);
	assert_int_equal(b.starts, 0);
	close_bench(&b);
}

/* Somebody has read the client's first bytes, as Funnel's ingress does. */
static void early_bytes_are_the_first(void **state)
{
	char hello[2048], got[6];
	struct bench b;
	SSL *ssl;
	BIO *in, *sent;
	int n;

	(void)state;
	open_bench(&b);
	b.client = -1;
	ssl = new_client(&b, NAME, TLS1_3_VERSION, NULL);
	in = BIO_new(BIO_s_mem());
	sent = BIO_new(BIO_s_mem());
	SSL_set_bio(ssl, in, sent);
	assert_int_equal(SSL_connect(ssl), -1);
	n = BIO_read(sent, hello, sizeof(hello));
	b.wish.early = hello;
	b.wish.early_len = 100;
	begin(&b);
	assert_int_equal(send(b.client, hello + 100, (size_t)n - 100, 0),
			 n - 100);
	SSL_set_fd(ssl, b.client);
	assert_int_equal(SSL_connect(ssl), 1);
	assert_int_equal(SSL_write(ssl, "early", 5), 5);
	assert_int_equal(recv(b.program, got, 5, MSG_WAITALL), 5);
	assert_memory_equal(got, "early", 5);
	SSL_free(ssl);
	end_pair(&b);
	wait_ended(&b, 1);
	close_bench(&b);
}

static void handshakes_of_one_address_are_bounded(void **state)
{
	int clients[TS_TLS_HANDSHAKES_EACH + 1], programs[sizeof(clients) /
							   sizeof(int)];
	struct bench b;
	char byte;

	(void)state;
	open_bench(&b);
	for (int i = 0; i <= TS_TLS_HANDSHAKES_EACH; i++) {
		begin(&b);
		clients[i] = b.client;
		programs[i] = b.program;
	}
	wait_ended(&b, 1); /* the last one, at once */
	assert_true(recv(b.client, &byte, 1, 0) <= 0);
	assert_true(recv(b.program, &byte, 1, 0) <= 0);
	for (int i = 0; i <= TS_TLS_HANDSHAKES_EACH; i++) {
		close(clients[i]);
		close(programs[i]);
	}
	close_bench(&b);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_name_gets_its_certificate),
	cmocka_unit_test(a_slow_client_gets_all),
	cmocka_unit_test(who_asks_for_no_name_is_told),
	cmocka_unit_test(a_fixed_name_needs_none),
	cmocka_unit_test(a_certificate_that_cannot_be_had_is_an_alert),
	cmocka_unit_test(protocols_are_those_of_the_owner),
	cmocka_unit_test(a_wait_is_called_off),
	cmocka_unit_test(what_is_cut_or_no_tls_is_the_end),
	cmocka_unit_test(early_bytes_are_the_first),
	cmocka_unit_test(handshakes_of_one_address_are_bounded),
	cmocka_unit_test(a_session_is_taken_up_for_its_name_alone),
	cmocka_unit_test(strange_tickets_are_whole_handshakes),
	cmocka_unit_test(a_ca_is_shown_the_proof_and_nobody_else),
};

RUN_IN_EMPTY_NET(tests)

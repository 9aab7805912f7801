/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/http_client.h"
#include "tests/unit/io/peer.h"

struct bench {
	struct ts_loop *loop;
	struct ts_http_client *client;
	struct ts_timer *guard;
	unsigned answers, expected;
	int status;
	char body[256], error[512];
	size_t len;
};

static struct identity ca, leaf;
static char ca_file[] = "/tmp/test-http-ca-XXXXXX";

static int make_identities(void **state)
{
	int fd = mkstemp(ca_file);

	(void)state;
	ca = identity_make(&(struct cert_spec){.common_name = "test CA",
					       .is_ca = true});
	leaf = identity_make(&(struct cert_spec){
		.common_name = "leaf", .issuer = &ca,
		.san = "DNS:localhost,IP:127.0.0.1"});
	close(fd);
	write_pem(ca_file, ca.cert);
	return 0;
}

static int free_identities(void **state)
{
	(void)state;
	identity_free(&ca);
	identity_free(&leaf);
	unlink(ca_file);
	return 0;
}

static char *pem_of(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text;
	long len;

	assert_int_equal(PEM_write_bio_X509(bio, cert), 1);
	len = BIO_get_mem_data(bio, &data);
	text = strndup(data, (size_t)len);
	BIO_free(bio);
	return text;
}

static void give_up(void *ctx)
{
	ts_loop_stop(((struct bench *)ctx)->loop);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->loop = ts_loop_new();
	b->client = ts_http_client_new(b->loop);
	b->guard = ts_timer_new(b->loop, give_up, b);
	b->expected = 1;
	assert_non_null(b->client);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	ts_http_client_free(b->client);
	ts_timer_free(b->guard);
	ts_loop_free(b->loop);
	free(b);
	return 0;
}

static void answer(void *ctx, int status, const char *body, size_t len,
		   const char *error)
{
	struct bench *b = ctx;

	assert_int_equal(strlen(body), len);
	b->status = status;
	b->len = len;
	snprintf(b->body, sizeof(b->body), "%s", body);
	snprintf(b->error, sizeof(b->error), "%s", error ? error : "");
	if (++b->answers == b->expected)
		ts_loop_stop(b->loop);
}

static void run(struct bench *b, unsigned limit_ms)
{
	ts_loop_update(b->loop);
	ts_timer_set(b->guard, ts_loop_now_ms(b->loop) + limit_ms);
	ts_loop_run(b->loop);
}

static void get(struct bench *b, const char *form, uint16_t port,
		size_t body_max, unsigned timeout_ms)
{
	char url[128];

	snprintf(url, sizeof(url), form, port);
	assert_non_null(ts_http_get(b->client, url, body_max, timeout_ms,
				    answer, b));
	assert_int_equal(b->answers, 0);
	run(b, 2500);
	assert_int_equal(b->answers, 1);
}

static void serve_text(struct peer *p, int fd, SSL *ssl)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
				   "Connection: close\r\n\r\nhello";

	p->seen_len = (size_t)peer_read(fd, ssl, p->seen, sizeof(p->seen) - 1);
	peer_write(fd, ssl, text, sizeof(text) - 1);
}

static void serve_missing(struct peer *p, int fd, SSL *ssl)
{
	static const char text[] = "HTTP/1.1 404 No\r\nContent-Length: 0\r\n"
				   "Connection: close\r\n\r\n";

	peer_read(fd, ssl, p->seen, sizeof(p->seen));
	peer_write(fd, ssl, text, sizeof(text) - 1);
}

static void serve_redirects(struct peer *p, int fd, SSL *ssl)
{
	char text[256];
	int len = snprintf(text, sizeof(text),
			   "HTTP/1.1 302 There\r\nContent-Length: 0\r\n"
			   "Location: http://127.0.0.1:%u/next\r\n"
			   "Connection: close\r\n\r\n", p->port);

	if (p->total++ == 0) {
		peer_read(fd, ssl, p->seen, sizeof(p->seen));
		peer_write(fd, ssl, text, (size_t)len);
	} else {
		serve_text(p, fd, ssl);
	}
}

static void serve_loop(struct peer *p, int fd, SSL *ssl)
{
	p->total = 0;
	serve_redirects(p, fd, ssl);
}

static void a_body_is_fetched(void **state)
{
	struct bench *b = *state;
	struct peer peer;

	peer_start(&peer, NULL, serve_text);
	get(b, "http://127.0.0.1:%u/key?v=1", peer.port, 5, 2000);
	assert_int_equal(b->status, 200);
	assert_string_equal(b->body, "hello");
	assert_string_equal(b->error, "");
	peer_join(&peer);
	assert_memory_equal(peer.seen, "GET /key?v=1 HTTP/1.1\r\n", 23);
}

static void an_ipv6_address_is_a_host_too(void **state)
{
	struct bench *b = *state;
	struct peer peer;

	/* 127.0.0.1, written so. */
	peer_start(&peer, NULL, serve_text);
	get(b, "http://[::ffff:127.0.0.1]:%u/", peer.port, 5, 2000);
	assert_string_equal(b->error, "");
	assert_int_equal(b->status, 200);
	peer_join(&peer);
}

static void other_statuses_are_answers_too(void **state)
{
	struct bench *b = *state;
	struct peer peer;

	peer_start(&peer, NULL, serve_missing);
	get(b, "http://localhost:%u/", peer.port, 100, 2000);
	assert_int_equal(b->status, 404);
	assert_int_equal(b->len, 0);
	peer_join(&peer);
}

static void a_body_over_the_limit_fails(void **state)
{
	struct bench *b = *state;
	struct peer peer;

	peer_start(&peer, NULL, serve_text);
	get(b, "http://127.0.0.1:%u/", peer.port, 4, 2000);
	assert_int_equal(b->status, 0);
	assert_non_null(strstr(b->error, "the answer is too long"));
	peer_join(&peer);
}

static void a_redirect_is_followed(void **state)
{
	struct bench *b = *state;
	struct peer peer;

	peer_start_conns(&peer, NULL, 2, serve_redirects);
	get(b, "http://127.0.0.1:%u/first", peer.port, 100, 2000);
	assert_int_equal(b->status, 200);
	assert_string_equal(b->body, "hello");
	peer_join(&peer);
}

static void endless_redirects_end(void **state)
{
	struct bench *b = *state;
	struct peer peer;

	peer_start_conns(&peer, NULL, 10, serve_loop);
	get(b, "http://127.0.0.1:%u/", peer.port, 100, 2000);
	assert_int_equal(b->status, 0);
	assert_non_null(strstr(b->error, "too many redirects"));
	peer_join(&peer);
}

static void tls_is_verified(void **state)
{
	struct bench *b = *state;
	SSL_CTX *ctx = server_ctx(&leaf, NULL);
	struct peer peer;

	setenv("SSL_CERT_FILE", ca_file, 1);
	peer_start(&peer, ctx, serve_text);
	get(b, "https://localhost:%u/", peer.port, 100, 2000);
	assert_string_equal(b->error, "");
	assert_int_equal(b->status, 200);
	peer_join(&peer);

	unsetenv("SSL_CERT_FILE");
	b->answers = 0;
	peer_start(&peer, ctx, serve_text);
	get(b, "https://localhost:%u/", peer.port, 100, 2000);
	assert_int_equal(b->status, 0);
	assert_non_null(strstr(b->error, "certificate"));
	peer_join(&peer);
	SSL_CTX_free(ctx);
}

static void take_status(void *ctx, const struct ts_http_reply *reply)
{
	answer(ctx, reply->status, reply->body, reply->len, reply->error);
}

static void call_by_tls(struct bench *b, SSL_CTX *ctx, const char *ca_pem)
{
	struct peer peer;
	char url[64];
	struct ts_http_call call = {.method = "GET", .url = url,
				    .is_near = true, .ca_pem = ca_pem,
				    .body_max = 100, .timeout_ms = 2000};

	peer_start(&peer, ctx, serve_text);
	snprintf(url, sizeof(url), "https://localhost:%u/", peer.port);
	b->answers = 0;
	assert_non_null(ts_http_call(b->client, &call, take_status, b));
	run(b, 2500);
	peer_join(&peer);
}

/* As a cluster's: no public CA is to vouch for its server, nor the other way
 * round. */
static void a_call_may_bring_its_own_roots(void **state)
{
	struct bench *b = *state;
	SSL_CTX *ctx = server_ctx(&leaf, NULL);
	struct identity other = identity_make(
		&(struct cert_spec){.common_name = "other CA", .is_ca = true});
	char *ca_pem = pem_of(ca.cert), *other_pem = pem_of(other.cert);
	char both[8192];

	call_by_tls(b, ctx, ca_pem);
	assert_string_equal(b->error, "");
	assert_int_equal(b->status, 200);
	setenv("SSL_CERT_FILE", ca_file, 1); /* the usual roots do not count */
	call_by_tls(b, ctx, other_pem);
	assert_int_equal(b->status, 0);
	assert_non_null(strstr(b->error, "certificate"));
	unsetenv("SSL_CERT_FILE");
	call_by_tls(b, ctx, "no certificate at all");
	assert_int_equal(b->status, 0);
	snprintf(both, sizeof(both), "%s%s", other_pem, ca_pem);
	call_by_tls(b, ctx, both);
	assert_int_equal(b->status, 200);
	free(ca_pem);
	free(other_pem);
	identity_free(&other);
	SSL_CTX_free(ctx);
}

static void https_never_becomes_http(void **state)
{
	struct bench *b = *state;
	SSL_CTX *ctx = server_ctx(&leaf, NULL);
	struct peer peer;

	setenv("SSL_CERT_FILE", ca_file, 1);
	peer_start(&peer, ctx, serve_loop);
	get(b, "https://127.0.0.1:%u/", peer.port, 100, 2000);
	assert_non_null(strstr(b->error, "from https to http is refused"));
	unsetenv("SSL_CERT_FILE");
	peer_join(&peer);
	SSL_CTX_free(ctx);
}

static void a_proxy_from_the_environment_is_used(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	char value[64];

	peer_start(&peer, NULL, serve_text);
	snprintf(value, sizeof(value), "http://127.0.0.1:%u", peer.port);
	setenv("HTTP_PROXY", value, 1);
	get(b, "http://name.invalid/x", 0, 100, 2000);
	unsetenv("HTTP_PROXY");
	assert_string_equal(b->error, "");
	assert_int_equal(b->status, 200);
	peer_join(&peer);
	assert_memory_equal(peer.seen, "GET http://name.invalid/x HTTP/1.1\r\n",
			    36);
}

/* To the own network's devices: straight there, and not one step further. */
static void a_near_request_knows_no_proxy_and_no_redirect(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	char url[64];

	peer_start(&peer, NULL, serve_redirects);
	peer.total = 0;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/root.xml", peer.port);
	setenv("HTTP_PROXY", "http://127.0.0.1:1", 1);
	assert_non_null(ts_http_call_near(b->client, url, NULL, NULL, 100,
					  2000, answer, b));
	run(b, 2500);
	unsetenv("HTTP_PROXY");
	assert_int_equal(b->answers, 1);
	assert_int_equal(b->status, 302);
	peer_join(&peer);
	assert_memory_equal(peer.seen, "GET /root.xml HTTP/1.1\r\n", 24);
}

static void a_soap_request_is_a_post_with_its_action(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	char url[64];

	peer_start(&peer, NULL, serve_text);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ctl", peer.port);
	assert_non_null(ts_http_call_near(b->client, url, "\"urn:x#Do\"",
					  "<envelope/>", 100, 2000, answer,
					  b));
	assert_int_equal(b->answers, 0);
	run(b, 2500);
	assert_int_equal(b->status, 200);
	assert_string_equal(b->body, "hello");
	peer_join(&peer);
	peer.seen[peer.seen_len] = '\0';
	assert_memory_equal(peer.seen, "POST /ctl HTTP/1.1\r\n", 20);
	assert_non_null(strstr(peer.seen, "\r\nSOAPAction: \"urn:x#Do\"\r\n"));
	assert_non_null(strstr(peer.seen, "\r\nContent-Length: 11\r\n"));
	assert_non_null(strstr(peer.seen, "text/xml; charset=\"utf-8\"\r\n"));
	assert_null(strstr(peer.seen, "Expect"));
	assert_non_null(strstr(peer.seen, "\r\n\r\n<envelope/>"));
}

static void take_reply(void *ctx, const struct ts_http_reply *reply)
{
	struct bench *b = ctx;

	answer(b, reply->status, reply->body, reply->len, reply->error);
	if (!reply->error)
		snprintf(b->error, sizeof(b->error), "field %s",
			 reply->fields[0]);
}

static void serve_flavour(struct peer *p, int fd, SSL *ssl)
{
	static const char text[] =
		"HTTP/1.1 201 Made\r\nContent-Length: 2\r\n"
		"metadata-flavor:  Google \r\nConnection: close\r\n\r\nok";

	p->seen_len = (size_t)peer_read(fd, ssl, p->seen, sizeof(p->seen) - 1);
	peer_write(fd, ssl, text, sizeof(text) - 1);
}

static void a_call_has_its_own_method_fields_and_body(void **state)
{
	static const char *const fields[] = {
		"Authorization: Bearer abc", "Content-Type: application/json"};
	struct bench *b = *state;
	struct peer peer;
	char url[64];
	struct ts_http_call call = {.method = "PUT",
				    .url = url,
				    .fields = fields,
				    .field_count = 2,
				    .body = "{}",
				    .want_fields = {"Metadata-Flavor"},
				    .body_max = 100,
				    .timeout_ms = 2000};

	peer_start(&peer, NULL, serve_flavour);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/put", peer.port);
	assert_non_null(ts_http_call(b->client, &call, take_reply, b));
	assert_int_equal(b->answers, 0);
	run(b, 2500);
	assert_int_equal(b->status, 201);
	assert_string_equal(b->body, "ok");
	assert_string_equal(b->error, "field Google");
	peer_join(&peer);
	peer.seen[peer.seen_len] = '\0';
	assert_memory_equal(peer.seen, "PUT /put HTTP/1.1\r\n", 19);
	assert_non_null(strstr(peer.seen,
			       "\r\nAuthorization: Bearer abc\r\n"));
	assert_non_null(strstr(peer.seen, "application/json\r\n"));
	assert_non_null(strstr(peer.seen, "\r\nContent-Length: 2\r\n"));
	assert_null(strstr(peer.seen, "Expect"));
}

/* A credential is for the host that it was given for. */
static void a_call_follows_no_redirect(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	char url[64];
	struct ts_http_call call = {.method = "GET", .url = url,
				    .body_max = 100, .timeout_ms = 2000};

	peer_start(&peer, NULL, serve_redirects);
	peer.total = 0;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", peer.port);
	assert_non_null(ts_http_call(b->client, &call, take_reply, b));
	run(b, 2500);
	assert_int_equal(b->status, 302);
	assert_string_equal(b->error, "field ");
	peer_join(&peer);
}

static void serve_dns(struct peer *p, int fd, SSL *ssl)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n"
				   "Content-Type: application/dns-message\r\n"
				   "Connection: close\r\n\r\nanswer";

	p->seen_len = (size_t)peer_read(fd, ssl, p->seen, sizeof(p->seen) - 1);
	peer_write(fd, ssl, text, sizeof(text) - 1);
}

static void ask_dns(struct bench *b, uint16_t port, size_t ip_count)
{
	static const uint8_t query[] = {0, 1, 0, 'x'};
	const struct ts_ip ip = ts_ip_from_v4((const uint8_t[]){127, 0, 0, 1});
	char url[64];

	snprintf(url, sizeof(url), "http://name.invalid:%u/dns-query", port);
	b->answers = 0;
	assert_non_null(ts_http_ask_dns(b->client, url, &ip, ip_count, query,
					sizeof(query), 2000, answer, b));
	assert_int_equal(b->answers, 0);
	run(b, 2500);
	assert_int_equal(b->answers, 1);
}

/* Where it was said to be, whatever its name; only DNS is an answer. */
static void a_dns_query_is_a_post_to_a_known_place(void **state)
{
	struct bench *b = *state;
	struct peer peer;

	peer_start(&peer, NULL, serve_dns);
	ask_dns(b, peer.port, 1);
	assert_int_equal(b->status, 200);
	assert_string_equal(b->body, "answer");
	peer_join(&peer);
	assert_memory_equal(peer.seen, "POST /dns-query HTTP/1.1\r\n", 26);
	assert_memory_equal(peer.seen + peer.seen_len - 8,
			    "\r\n\r\n\0\1\0x", 8);
	peer.seen[peer.seen_len - 4] = '\0';
	assert_non_null(strstr(peer.seen, "\r\nContent-Length: 4\r\n"));
	assert_non_null(strstr(peer.seen,
			       "\r\nContent-Type: application/dns-message\r"));
	peer_start(&peer, NULL, serve_text);
	ask_dns(b, peer.port, 1);
	assert_int_equal(b->status, 0);
	assert_non_null(strstr(b->error, "no DNS message"));
	peer_join(&peer);
}

/* -- a network beside the host's ------------------------------------------ */

struct beside {
	struct peer *peer;
	bool claims;
	unsigned calls;
};

static bool beside_claims(void *ctx, const struct ts_ip *ip)
{
	const struct beside *beside = ctx;
	char text[TS_IP_TEXT_CAP];

	return beside->claims &&
	       strcmp(ts_ip_format(ip, text), "192.0.2.9") == 0;
}

static int beside_call(void *ctx, const struct ts_addr *to,
		       struct ts_addr *via)
{
	struct beside *beside = ctx;

	assert_int_equal(to->port, 4433);
	beside->calls++;
	assert_int_equal(ts_ip_parse("127.0.0.1", &via->ip), 0);
	via->port = beside->peer->port;
	return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static const struct ts_http_tunnel beside_ops = {beside_claims, beside_call};

/* Two queries, and what comes after them. */
static void serve_dns_kept(struct peer *p, int fd, SSL *ssl)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n"
				   "Content-Type: application/dns-message\r\n"
				   "\r\nanswer";

	for (int i = 0; i < 2; i++) {
		assert_true(peer_read(fd, ssl, p->seen,
				      sizeof(p->seen) - 1) > 0);
		peer_write(fd, ssl, text, sizeof(text) - 1);
	}
	p->seen_len = 99;
	if (peer_read(fd, ssl, p->seen, sizeof(p->seen) - 1) <= 0)
		p->seen_len = 0;
}

static void ask_beside(struct bench *b)
{
	static const uint8_t query[] = {0, 1, 0, 'x'};
	const struct ts_ip ip = ts_ip_from_v4((const uint8_t[]){192, 0, 2, 9});

	b->answers = 0;
	assert_non_null(ts_http_ask_dns(b->client,
					"http://name.invalid:4433/dns-query",
					&ip, 1, query, sizeof(query), 300,
					answer, b));
	run(b, 2500);
	assert_int_equal(b->answers, 1);
}

static void a_server_beside_the_hosts_network(void **state)
{
	struct bench *b = *state;
	struct peer peer;
	struct beside beside = {.peer = &peer, .claims = true};

	peer_start(&peer, NULL, serve_dns_kept);
	ts_http_client_set_tunnel(b->client, &beside_ops, &beside);
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	for (int i = 0; i < 2; i++) { /* by one connection */
		ask_beside(b);
		assert_int_equal(b->status, 200);
		assert_string_equal(b->body, "answer");
	}
	unsetenv("http_proxy");
	assert_int_equal(beside.calls, 1);
	/* It is not there any more: the connection is not used again. */
	beside.claims = false;
	ask_beside(b);
	assert_int_equal(b->status, 0);
	assert_int_equal(beside.calls, 1);
	peer_join(&peer);
	assert_int_equal(peer.seen_len, 0);
	ts_http_client_set_tunnel(b->client, NULL, NULL);
}

static void nobody_answers_beside_the_hosts_network(void **state)
{
	struct bench *b = *state;
	uint16_t port;
	int fd = peer_listen(&port);
	struct peer peer = {.port = port};
	struct beside beside = {.peer = &peer, .claims = true};

	close(fd); /* refused */
	ts_http_client_set_tunnel(b->client, &beside_ops, &beside);
	ask_beside(b);
	assert_int_equal(b->status, 0);
	assert_int_equal(beside.calls, 1);
	ts_http_client_set_tunnel(b->client, NULL, NULL);
}

static void a_silent_server_times_out(void **state)
{
	struct bench *b = *state;
	uint16_t port;
	int fd = peer_listen(&port);

	get(b, "http://127.0.0.1:%u/", port, 100, 100);
	assert_int_equal(b->status, 0);
	assert_non_null(strstr(b->error, "request: time-out after 100 ms"));
	close(fd);
}

static void refused_and_malformed_are_told(void **state)
{
	struct bench *b = *state;
	char start[64];
	uint16_t port;

	close(peer_listen(&port));
	get(b, "http://127.0.0.1:%u/", port, 100, 1000);
	snprintf(start, sizeof(start), "127.0.0.1:%u: ", port);
	assert_int_equal(strncmp(b->error, start, strlen(start)), 0);
	b->answers = 0;
	get(b, "ftp://127.0.0.1:%u/", port, 100, 1000);
	assert_non_null(strstr(b->error, "not an http or https URL"));
}

static void a_cancelled_request_says_nothing(void **state)
{
	struct bench *b = *state;
	struct ts_http_request *rq;
	struct peer peer;
	char url[64];

	peer_start(&peer, NULL, serve_text);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", peer.port);
	rq = ts_http_get(b->client, url, 100, 1000, answer, b);
	ts_http_cancel(rq);
	rq = ts_http_get(b->client, url, 100, 1000, answer, b);
	run(b, 2);
	if (!b->answers)
		ts_http_cancel(rq);
	b->answers = 0;
	run(b, 20);
	assert_int_equal(b->answers, 0);
	peer_join(&peer);
}

static void freeing_the_client_cancels(void **state)
{
	struct bench *b = *state;
	uint16_t port;
	int fd = peer_listen(&port);
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	ts_http_get(b->client, url, 100, 1000, answer, b);
	ts_http_get(b->client, url, 100, 1000, answer, b);
	run(b, 10);
	ts_http_client_free(b->client);
	b->client = NULL;
	run(b, 10);
	assert_int_equal(b->answers, 0);
	close(fd);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	static const char *const proxies[] = {
		"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy",
		"ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR",
	};
	const struct CMUnitTest tests[] = {
		CASE(a_body_is_fetched),
		CASE(an_ipv6_address_is_a_host_too),
		CASE(other_statuses_are_answers_too),
		CASE(a_body_over_the_limit_fails),
		CASE(a_redirect_is_followed),
		CASE(endless_redirects_end),
		CASE(tls_is_verified),
		CASE(a_call_may_bring_its_own_roots),
		CASE(https_never_becomes_http),
		CASE(a_proxy_from_the_environment_is_used),
		CASE(a_near_request_knows_no_proxy_and_no_redirect),
		CASE(a_soap_request_is_a_post_with_its_action),
		CASE(a_dns_query_is_a_post_to_a_known_place),
		CASE(a_server_beside_the_hosts_network),
		CASE(nobody_answers_beside_the_hosts_network),
		CASE(a_call_has_its_own_method_fields_and_body),
		CASE(a_call_follows_no_redirect),
		CASE(a_silent_server_times_out),
		CASE(refused_and_malformed_are_told),
		CASE(a_cancelled_request_says_nothing),
		CASE(freeing_the_client_cancels),
	};

	for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++)
		unsetenv(proxies[i]);
	alarm(60);
	return cmocka_run_group_tests(tests, make_identities, free_identities);
}

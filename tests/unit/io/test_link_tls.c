/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>

#include "core/base/encode.h"
#include "core/io/link_cert.h"
#include "tests/unit/io/link_bench.h"
#include "tests/unit/io/peer.h"

#define META_KEY                                                               \
	"00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef"

static struct identity ca, stranger_ca, leaf, expired, stranger, meta;
static struct identity meta_p256, meta_short, meta_serial;
static char ca_file[] = "/tmp/test-link-tls-ca-XXXXXX";

static int make_identities(void **state)
{
	const struct cert_spec specs[] = {
		{.common_name = "test CA", .is_ca = true},
		{.common_name = "other CA", .is_ca = true},
		{.common_name = "leaf", .issuer = &ca,
		 .san = "DNS:derp.test,DNS:*.wild.test,IP:127.0.0.1"},
		{.common_name = "expired", .issuer = &ca, .from_s = -7200,
		 .to_s = -3600, .san = "DNS:derp.test"},
		{.common_name = "stranger", .issuer = &stranger_ca,
		 .san = "DNS:derp.test"},
		{.common_name = "derpkey" META_KEY, .is_ed25519 = true,
		 .serial = 2},
		{.common_name = "derpkey" META_KEY, .serial = 2},
		{.common_name = "derpkey0011", .is_ed25519 = true},
		{.common_name = "derpkey" META_KEY, .is_ed25519 = true,
		 .serial = 256},
	};
	struct identity *const ids[] = {&ca, &stranger_ca, &leaf, &expired,
					&stranger, &meta, &meta_p256,
					&meta_short, &meta_serial};
	int fd = mkstemp(ca_file);

	(void)state;
	for (size_t i = 0; i < 9; i++)
		*ids[i] = identity_make(&specs[i]);
	close(fd);
	write_pem(ca_file, ca.cert);
	setenv("SSL_CERT_FILE", ca_file, 1);
	setenv("SSL_CERT_DIR", "/nonexistent", 1);
	return 0;
}

static int free_identities(void **state)
{
	struct identity *const ids[] = {&ca, &stranger_ca, &leaf, &expired,
					&stranger, &meta, &meta_p256,
					&meta_short, &meta_serial};

	(void)state;
	for (size_t i = 0; i < 9; i++)
		identity_free(ids[i]);
	unlink(ca_file);
	return 0;
}

static void echo_all(struct peer *p, int fd, SSL *ssl)
{
	char buf[16384];
	ssize_t got;

	while ((got = peer_read(fd, ssl, buf, sizeof(buf))) > 0) {
		ssize_t at = 0;

		p->total += (size_t)got;
		while (at < got) {
			ssize_t put = peer_write(fd, ssl, buf + at,
						 (size_t)(got - at));
			if (put <= 0)
				return;
			at += put;
		}
	}
}

static struct ts_link_config tls_to(const struct peer *peer)
{
	return (struct ts_link_config){
		.host = "derp.test", .ipv4 = "127.0.0.1", .ipv6 = "none",
		.port = peer->port, .tls = TS_LINK_TLS, .timeout_ms = 2000,
	};
}

/* One connection; leaves the link open when it got through. */
static void connect_to(struct bench *b, struct peer *peer,
		       const struct ts_link_config *config)
{
	b->connected = b->closed = 0;
	b->error[0] = '\0';
	b->stop_on_connected = true;
	b->link = ts_link_open(b->loop, b->res, config, &bench_ops, b);
	bench_run(b, 2000);
	(void)peer;
}

static void finish(struct bench *b, struct peer *peer, SSL_CTX *ctx)
{
	ts_link_close(b->link);
	b->link = NULL;
	peer_join(peer);
	SSL_CTX_free(ctx);
}

static void expect_ok(struct bench *b, const struct identity *id,
		      const struct identity *extra,
		      void (*change)(struct ts_link_config *))
{
	SSL_CTX *ctx = server_ctx(id, extra);
	struct peer peer;
	struct ts_link_config config;

	peer_start(&peer, ctx, echo_all);
	config = tls_to(&peer);
	if (change)
		change(&config);
	connect_to(b, &peer, &config);
	assert_string_equal(b->error, "");
	assert_int_equal(b->connected, 1);
	finish(b, &peer, ctx);
}

static void expect_error(struct bench *b, const struct identity *id,
			 const struct identity *extra,
			 void (*change)(struct ts_link_config *),
			 const char *reason)
{
	SSL_CTX *ctx = server_ctx(id, extra);
	struct peer peer;
	struct ts_link_config config;
	char expected[256];

	peer_start(&peer, ctx, echo_all);
	config = tls_to(&peer);
	if (change)
		change(&config);
	connect_to(b, &peer, &config);
	snprintf(expected, sizeof(expected), "%s:%u: TLS: %s", config.host,
		 peer.port, reason);
	assert_int_equal(b->connected, 0);
	assert_string_equal(b->error, expected);
	finish(b, &peer, ctx);
}

static void a_megabyte_goes_both_ways(void **state)
{
	enum { LEN = 1 << 20 };
	struct bench *b = *state;
	SSL_CTX *ctx = server_ctx(&leaf, NULL);
	struct peer peer;
	struct ts_link_config config;
	char *data = malloc(LEN);

	memset(data, 'x', LEN);
	peer_start(&peer, ctx, echo_all);
	config = tls_to(&peer);
	connect_to(b, &peer, &config);
	assert_int_equal(ts_link_write(b->link, data, LEN), 0);
	assert_int_equal(ts_link_write(b->link, data, 1), -ENOBUFS);
	free(data);
	finish(b, &peer, ctx);
}

static void echoed_bytes_come_back_whole(void **state)
{
	enum { LEN = 700000 };
	struct bench *b = *state;
	SSL_CTX *ctx = server_ctx(&leaf, NULL);
	struct peer peer;
	struct ts_link_config config;
	char *data = malloc(LEN);

	for (size_t i = 0; i < LEN; i++)
		data[i] = (char)(i * 7);
	peer_start(&peer, ctx, echo_all);
	config = tls_to(&peer);
	connect_to(b, &peer, &config);
	assert_int_equal(ts_link_write(b->link, data, LEN), 0);
	b->stop_after = LEN;
	while (b->total < LEN && !b->closed && !b->late)
		bench_run(b, 2000); /* drained() stops it, too */
	assert_int_equal(b->total, LEN);
	assert_memory_equal(b->input, data, sizeof(b->input));
	free(data);
	finish(b, &peer, ctx);
}

static void name_is_wild(struct ts_link_config *c)
{
	c->host = "a.wild.test";
}

static void name_is_other(struct ts_link_config *c)
{
	c->host = "other.test";
}

static void verify_other(struct ts_link_config *c)
{
	c->host = "other.test";
	c->verify_name = "derp.test";
}

static void name_is_ip(struct ts_link_config *c)
{
	c->host = "127.0.0.1";
}

static void unverified(struct ts_link_config *c)
{
	c->tls = TS_LINK_TLS_UNVERIFIED;
}

static void verified_chains_get_through(void **state)
{
	expect_ok(*state, &leaf, NULL, NULL);
	expect_ok(*state, &leaf, NULL, name_is_wild);
	expect_ok(*state, &leaf, NULL, verify_other);
	expect_ok(*state, &leaf, NULL, name_is_ip);
}

static void bad_chains_are_named(void **state)
{
	expect_error(*state, &leaf, NULL, name_is_other, "hostname mismatch");
	expect_error(*state, &expired, NULL, NULL, "certificate has expired");
	expect_error(*state, &stranger, NULL, NULL,
		     "unable to get local issuer certificate");
	expect_error(*state, &ca, NULL, NULL, "hostname mismatch");
}

static void unverified_takes_any_chain(void **state)
{
	expect_ok(*state, &expired, NULL, unverified);
	expect_ok(*state, &stranger, NULL, unverified);
}

/* -- pins ----------------------------------------------------------------- */

static uint8_t wanted_pin[32];

static void pin_to(const struct identity *id)
{
	unsigned len = 0;

	X509_digest(id->cert, EVP_sha256(), wanted_pin, &len);
	assert_int_equal(len, 32);
}

static void pinned(struct ts_link_config *c)
{
	c->tls = TS_LINK_TLS_PINNED;
	memcpy(c->pin, wanted_pin, sizeof(c->pin));
}

static void pinned_other_name(struct ts_link_config *c)
{
	pinned(c);
	c->host = "other.test";
}

static void a_pin_stands_for_the_chain(void **state)
{
	pin_to(&stranger);
	expect_ok(*state, &stranger, NULL, pinned);
	expect_ok(*state, &stranger, &meta, pinned);
	expect_error(*state, &leaf, NULL, pinned,
		     "the certificate is not the pinned one");
	expect_error(*state, &stranger, &ca, pinned,
		     "more than the pinned certificate is shown");
	expect_error(*state, &stranger, NULL, pinned_other_name,
		     "the pinned certificate has another host name");
	pin_to(&expired);
	expect_error(*state, &expired, NULL, pinned,
		     "the pinned certificate has expired");
	pin_to(&meta); /* a meta certificate is no leaf to hide behind */
	expect_error(*state, &stranger, &meta, pinned,
		     "the certificate is not the pinned one");
}

/* -- the meta certificate ------------------------------------------------- */

static bool meta_key_of(struct bench *b, const struct identity *extra,
			int max_version, struct ts_public_key *key)
{
	SSL_CTX *ctx = server_ctx(&leaf, extra);
	struct peer peer;
	struct ts_link_config config;
	bool found;

	SSL_CTX_set_max_proto_version(ctx, max_version);
	peer_start(&peer, ctx, echo_all);
	config = tls_to(&peer);
	connect_to(b, &peer, &config);
	assert_string_equal(b->error, "");
	found = ts_link_derp_meta_key(b->link, key);
	finish(b, &peer, ctx);
	return found;
}

static void the_meta_certificate_gives_the_servers_key(void **state)
{
	struct ts_public_key key;
	char hex[2 * TS_KEY_LEN + 1];

	assert_true(meta_key_of(*state, &meta, TLS1_3_VERSION, &key));
	ts_hex_encode(key.bytes, sizeof(key.bytes), hex);
	assert_string_equal(hex, META_KEY);
}

static void what_is_not_quite_a_meta_certificate_gives_none(void **state)
{
	struct ts_public_key key;

	assert_false(meta_key_of(*state, NULL, TLS1_3_VERSION, &key));
	assert_false(meta_key_of(*state, &meta, TLS1_2_VERSION, &key));
	assert_false(meta_key_of(*state, &meta_p256, TLS1_3_VERSION, &key));
	assert_false(meta_key_of(*state, &meta_short, TLS1_3_VERSION, &key));
	assert_false(meta_key_of(*state, &meta_serial, TLS1_3_VERSION, &key));
}

/* -- broken servers ------------------------------------------------------- */

static void a_silent_server_times_out(void **state)
{
	struct bench *b = *state;
	struct peer peer = {0};
	struct ts_link_config config;
	char expected[128];
	int fd = peer_listen(&peer.port);

	config = tls_to(&peer);
	config.timeout_ms = 100;
	connect_to(b, &peer, &config);
	snprintf(expected, sizeof(expected),
		 "derp.test:%u: TLS handshake: time-out after 100 ms",
		 peer.port);
	assert_string_equal(b->error, expected);
	close(fd);
}

static void speak_http(struct peer *p, int fd, SSL *ssl)
{
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

	peer_read(fd, ssl, p->seen, sizeof(p->seen));
	peer_write(fd, ssl, answer, sizeof(answer) - 1);
}

static void hang_up(struct peer *p, int fd, SSL *ssl)
{
	p->seen_len = (size_t)peer_read(fd, ssl, p->seen, sizeof(p->seen));
}

static void servers_without_tls_are_told(void **state)
{
	struct bench *b = *state;
	struct ts_link_config config;
	struct peer peer;

	peer_start(&peer, NULL, speak_http);
	config = tls_to(&peer);
	connect_to(b, &peer, &config);
	assert_non_null(strstr(b->error, "TLS: wrong version number"));
	finish(b, &peer, NULL);

	peer_start(&peer, NULL, hang_up);
	config = tls_to(&peer);
	connect_to(b, &peer, &config);
	assert_int_equal(b->closed, 1);
	assert_non_null(strstr(b->error, ": TLS: "));
	finish(b, &peer, NULL);
}

static void say_hello_and_leave(struct peer *p, int fd, SSL *ssl)
{
	(void)p;
	peer_write(fd, ssl, "hello", 5);
}

/* The bytes may come with the handshake's last flight. */
static void bytes_right_after_the_handshake_are_not_lost(void **state)
{
	struct bench *b = *state;
	SSL_CTX *ctx = server_ctx(&leaf, NULL);
	struct peer peer;
	struct ts_link_config config;

	peer_start(&peer, ctx, say_hello_and_leave);
	config = tls_to(&peer);
	b->link = ts_link_open(b->loop, b->res, &config, &bench_ops, b);
	bench_run(b, 2000);
	assert_int_equal(b->closed, 1);
	assert_false(b->has_error);
	assert_int_equal(b->total, 5);
	finish(b, &peer, ctx);
}

#define CASE(fn)                                                               \
	cmocka_unit_test_setup_teardown(fn, bench_set_up, bench_tear_down)

static struct x509_store_st *shared_roots;

static void with_shared_roots(struct ts_link_config *config)
{
	config->roots = shared_roots;
}

/* For many: the file may be gone by then. */
static void roots_are_read_once(void **state)
{
	struct bench *b = *state;

	shared_roots = ts_cert_roots();
	assert_non_null(shared_roots);
	setenv("SSL_CERT_FILE", "/nonexistent", 1);
	for (int i = 0; i < 2; i++)
		expect_ok(b, &leaf, NULL, with_shared_roots);
	expect_error(b, &stranger, NULL, with_shared_roots,
		     "unable to get local issuer certificate");
	setenv("SSL_CERT_FILE", ca_file, 1);
	ts_cert_roots_free(shared_roots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_megabyte_goes_both_ways),
		CASE(echoed_bytes_come_back_whole),
		CASE(verified_chains_get_through),
		CASE(bad_chains_are_named),
		CASE(unverified_takes_any_chain),
		CASE(a_pin_stands_for_the_chain),
		CASE(the_meta_certificate_gives_the_servers_key),
		CASE(what_is_not_quite_a_meta_certificate_gives_none),
		CASE(a_silent_server_times_out),
		CASE(servers_without_tls_are_told),
		CASE(bytes_right_after_the_handshake_are_not_lost),
		CASE(roots_are_read_once),
	};

	signal(SIGPIPE, SIG_DFL);
	unsetenv("HTTPS_PROXY");
	unsetenv("https_proxy");
	unsetenv("ALL_PROXY");
	unsetenv("all_proxy");
	alarm(60);
	return cmocka_run_group_tests(tests, make_identities, free_identities);
}

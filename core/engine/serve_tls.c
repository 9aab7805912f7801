/* SPDX-License-Identifier: BSD-3-Clause
 * serve_tls.c - TLS to backends of what the node serves, for core/host
 *
 * How many connections there are is up to clients. All share the roots, which
 * take megabytes, and tens of milliseconds to read; now and then they are read
 * again, as who runs the node may have added one.
 */
#include "core/engine/engine_internal.h"
#include "core/io/link_cert.h"
#include "core/io/link_tls.h"

enum { ROOTS_MS = 60 * 1000 };

/* NULL: no memory; then each reads its own. */
static struct x509_store_st *roots_of(struct ts_engine *engine)
{
	uint64_t now_ms = ts_loop_now_ms(engine->loop);

	if (engine->backend_roots && now_ms < engine->backend_roots_ms)
		return engine->backend_roots;
	ts_cert_roots_free(engine->backend_roots);
	engine->backend_roots = ts_cert_roots();
	engine->backend_roots_ms = now_ms + ROOTS_MS;
	return engine->backend_roots;
}

static void *open_tls(void *ctx, int fd, const char *host, bool is_verified,
		      bool wants_h2)
{
	const struct ts_link_config config = {
		.host = host,
		.tls = is_verified ? TS_LINK_TLS : TS_LINK_TLS_UNVERIFIED,
		.alpn_h2 = wants_h2,
		.roots = is_verified ? roots_of(ctx) : NULL,
	};
	char err[TS_TLS_ERROR_CAP] = "";

	return ts_tls_new(fd, &config, err);
}

static void close_tls(void *tls)
{
	ts_tls_free(tls);
}

_Static_assert((int)TS_TLS_ERROR_CAP <= 256, "the reason fits");

static int handshake(void *tls, char err[static 256])
{
	return ts_tls_handshake(tls, err);
}

static bool wants_write(const void *tls)
{
	return ts_tls_wants_write(tls);
}

static bool is_h2(const void *tls)
{
	return ts_tls_is_h2(tls);
}

static void readable(void *tls)
{
	ts_tls_readable(tls);
}

static ssize_t read_tls(void *tls, void *out, size_t cap)
{
	char err[TS_TLS_ERROR_CAP];

	return ts_tls_read(tls, out, cap, err);
}

static ssize_t write_tls(void *tls, const void *data, size_t len)
{
	char err[TS_TLS_ERROR_CAP];

	return ts_tls_write(tls, data, len, err);
}

const struct ts_tls_client_ops engine_tls_client_ops = {
	.open = open_tls,
	.close = close_tls,
	.handshake = handshake,
	.wants_write = wants_write,
	.is_h2 = is_h2,
	.readable = readable,
	.read = read_tls,
	.write = write_tls,
};

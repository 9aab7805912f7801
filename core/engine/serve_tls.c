/* SPDX-License-Identifier: BSD-3-Clause
 * serve_tls.c - TLS to backends of what the node serves, for core/host
 */
#include "core/engine/engine_internal.h"
#include "core/io/link_tls.h"

static void *open_tls(int fd, const char *host, bool is_verified,
		      bool wants_h2)
{
	const struct ts_link_config config = {
		.host = host,
		.tls = is_verified ? TS_LINK_TLS : TS_LINK_TLS_UNVERIFIED,
		.alpn_h2 = wants_h2,
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

/* SPDX-License-Identifier: BSD-3-Clause
 * ts2021_conn.h - the client's end of one ts2021 connection
 *
 * HTTP/1.1 upgrade, Noise handshake, records, the server's early payload; what
 * comes out is a plain byte stream both ways, for HTTP/2. Bytes in, bytes out:
 * the owner has the socket. After an error the connection is dead, and
 * ts_ts2021_error() says why in one line.
 * Source: control/controlhttp/client.go, control/ts2021/conn.go
 */
#ifndef CORE_CONTROL_TS2021_CONN_H
#define CORE_CONTROL_TS2021_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/crypto/keys.h"

struct ts_ts2021_conn;

struct ts_ts2021_config {
	const char *authority; /* host or host:port, for the Host header */
	struct ts_private_key machine_key;
	struct ts_public_key server_key;
	const struct ts_private_key *ephemeral; /* NULL: random; for vectors */
	uint16_t version;
};

struct ts_ts2021_ops {
	void (*write)(void *ctx, const uint8_t *data, size_t len);
	/* The handshake is done: ts_ts2021_send() may be used. */
	int (*opened)(void *ctx);
	/* Bytes of the stream; a negative errno ends the connection. */
	int (*stream)(void *ctx, const uint8_t *data, size_t len);
};

/* NULL when out of memory. */
struct ts_ts2021_conn *ts_ts2021_new(const struct ts_ts2021_config *config,
				     const struct ts_ts2021_ops *ops,
				     void *ctx);
void ts_ts2021_free(struct ts_ts2021_conn *conn);
/* Writes the upgrade request. 0 or -EACCES (unusable server key), -ENOMEM. */
int ts_ts2021_start(struct ts_ts2021_conn *conn);
int ts_ts2021_input(struct ts_ts2021_conn *conn, const uint8_t *data,
		    size_t len);
/* -EPROTO before opened(). */
int ts_ts2021_send(struct ts_ts2021_conn *conn, const uint8_t *data,
		   size_t len);
bool ts_ts2021_is_open(const struct ts_ts2021_conn *conn);
/* Why the last call failed; never NULL. Control characters are replaced. */
const char *ts_ts2021_error(const struct ts_ts2021_conn *conn);

#endif

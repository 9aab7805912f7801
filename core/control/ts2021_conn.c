/* SPDX-License-Identifier: BSD-3-Clause
 * ts2021_conn.c - the client's end of one ts2021 connection
 *
 *   UPGRADE    POST /ts2021 is out, waiting for the head of the 101
 *   HANDSHAKE  the initiation went in a header of that request, so the
 *              server's answer may stand right behind the head
 *   EARLY_HEAD the first 9 plain bytes: a marker and a length, or already the
 *              start of HTTP/2
 *   EARLY_BODY JSON that nobody needs; it must parse, though
 *   OPEN       records in, stream bytes out
 *
 * Our own stream may be written from EARLY_HEAD on: nobody waits for the early
 * payload. Memory: one piece of input, or the early payload up to its limit.
 * Source: control/controlhttp/client.go, control/controlbase/conn.go,
 * control/ts2021/conn.go (readHeader)
 */
#include "core/control/ts2021_conn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/byte_queue.h"
#include "core/base/clean_text.h"
#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/http1.h"
#include "core/base/wire.h"
#include "core/control/scan_json.h"
#include "core/control/ts2021_noise.h"
#include "core/crypto/secret.h"

enum {
	INPUT_PIECE = 16384,
	/* The longest thing to wait for: an error text of 64 KiB. */
	INPUT_MAX = 65536 + TS_NOISE_HEADER_LEN + INPUT_PIECE,
	EARLY_HEAD_LEN = 9,
	EARLY_MAGIC_LEN = 5,
	EARLY_BODY_MAX = 10 << 20,
	ERROR_TEXT_MAX = 200,
};

static const uint8_t EARLY_MAGIC[EARLY_MAGIC_LEN] = {0xff, 0xff, 0xff, 'T',
						     'S'};

enum conn_state {
	CONN_UPGRADE,
	CONN_HANDSHAKE,
	CONN_EARLY_HEAD,
	CONN_EARLY_BODY,
	CONN_OPEN,
	CONN_DEAD,
};

struct ts_ts2021_conn {
	enum conn_state state;
	struct ts_ts2021_ops ops;
	void *ctx;
	char authority[300];
	struct ts_ts2021_config config; /* authority points above */
	struct ts_private_key ephemeral;
	struct ts_noise_initiator handshake;
	struct ts_noise_session session;
	struct ts_byte_queue in;    /* from the wire */
	struct ts_byte_queue early; /* plain bytes of the early payload */
	size_t early_left;	    /* CONN_EARLY_BODY: bytes to come */
	char error[ERROR_TEXT_MAX + 64];
};

static int fail(struct ts_ts2021_conn *conn, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct ts_ts2021_conn *conn, int err, const char *fmt, ...)
{
	va_list args;

	conn->state = CONN_DEAD;
	va_start(args, fmt);
	vsnprintf(conn->error, sizeof(conn->error), fmt, args);
	va_end(args);
	ts_clean_text(conn->error, ' ');
	return err;
}

struct ts_ts2021_conn *ts_ts2021_new(const struct ts_ts2021_config *config,
				     const struct ts_ts2021_ops *ops,
				     void *ctx)
{
	struct ts_ts2021_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->ops = *ops;
	conn->ctx = ctx;
	conn->config = *config;
	snprintf(conn->authority, sizeof(conn->authority), "%s",
		 config->authority);
	conn->config.authority = conn->authority;
	if (config->ephemeral) {
		conn->ephemeral = *config->ephemeral;
		conn->config.ephemeral = &conn->ephemeral;
	}
	ts_byte_queue_init(&conn->in, INPUT_MAX);
	ts_byte_queue_init(&conn->early, EARLY_BODY_MAX);
	return conn;
}

void ts_ts2021_free(struct ts_ts2021_conn *conn)
{
	if (!conn)
		return;
	ts_noise_initiator_wipe(&conn->handshake);
	ts_noise_session_deinit(&conn->session);
	ts_byte_queue_deinit(&conn->in);
	ts_byte_queue_deinit(&conn->early);
	ts_wipe(conn, sizeof(*conn));
	free(conn);
}

int ts_ts2021_start(struct ts_ts2021_conn *conn)
{
	const struct ts_ts2021_config *config = &conn->config;
	uint8_t initiation[TS_NOISE_INITIATION_LEN];
	char request[768], *handshake;
	int len, err;

	err = ts_noise_initiate(&conn->handshake, &config->machine_key,
				&config->server_key, config->ephemeral,
				config->version, initiation);
	if (err)
		return fail(conn, err, "the server's key is unusable");
	handshake = ts_base64_encode(initiation, sizeof(initiation));
	if (!handshake)
		return fail(conn, -ENOMEM, "out of memory");
	len = snprintf(request, sizeof(request),
		       "POST /ts2021 HTTP/1.1\r\n"
		       "Host: %s\r\n"
		       "Upgrade: tailscale-control-protocol\r\n"
		       "Connection: upgrade\r\n"
		       "X-Tailscale-Handshake: %s\r\n"
		       "Content-Length: 0\r\n\r\n",
		       config->authority, handshake);
	free(handshake);
	conn->ops.write(conn->ctx, (const uint8_t *)request, (size_t)len);
	return 0;
}

/* 1: went on to the next state; 0: needs more bytes. */
static int read_upgrade(struct ts_ts2021_conn *conn)
{
	const uint8_t *data = ts_byte_queue_data(&conn->in);
	size_t len = ts_byte_queue_len(&conn->in);
	const struct ts_http1_field *upgrade;
	struct ts_http1_head head;
	int err = ts_http1_read_response(data, len, &head);

	if (err == -EAGAIN)
		return 0;
	if (err)
		return fail(conn, err, "the answer is not HTTP: %s",
			    ts_strerror(err));
	if (head.status != 101)
		return fail(conn, -EPROTO, "upgrade refused: http %d",
			    head.status);
	upgrade = ts_http1_find(&head, "Upgrade");
	if (!upgrade ||
	    !ts_http1_value_is(upgrade, "tailscale-control-protocol"))
		return fail(conn, -EPROTO, "upgraded to another protocol");
	ts_byte_queue_drop(&conn->in, head.head_len);
	conn->state = CONN_HANDSHAKE;
	return 1;
}

static int read_server_error(struct ts_ts2021_conn *conn,
			     struct ts_reader *r, size_t text_len)
{
	const uint8_t *text = ts_read_view(r, text_len);

	if (!text)
		return 0;
	if (text_len > ERROR_TEXT_MAX)
		text_len = ERROR_TEXT_MAX;
	return fail(conn, -EACCES, "server error: \"%.*s\"", (int)text_len,
		    (const char *)text);
}

static int read_handshake(struct ts_ts2021_conn *conn)
{
	size_t len = ts_byte_queue_len(&conn->in);
	struct ts_reader r =
		ts_reader_init(ts_byte_queue_data(&conn->in), len);
	uint8_t type = ts_read_u8(&r);
	uint16_t body_len = ts_read_be16(&r);
	int err;

	if (len < TS_NOISE_HEADER_LEN)
		return 0;
	if (type == TS_NOISE_ERROR)
		return read_server_error(conn, &r, body_len);
	if (type != TS_NOISE_RESPONSE ||
	    body_len != TS_NOISE_RESPONSE_LEN - TS_NOISE_HEADER_LEN)
		return fail(conn, -EBADMSG,
			    "handshake answer of type %u, %u bytes", type,
			    body_len);
	if (len < TS_NOISE_RESPONSE_LEN)
		return 0;
	err = ts_noise_finish(&conn->handshake, ts_byte_queue_data(&conn->in),
			      &conn->session);
	if (err)
		return fail(conn, err, "handshake: %s", ts_strerror(err));
	ts_byte_queue_drop(&conn->in, TS_NOISE_RESPONSE_LEN);
	conn->state = CONN_EARLY_HEAD;
	err = conn->ops.opened(conn->ctx);
	return err ? fail(conn, err, "%s", ts_strerror(err)) : 1;
}

static int deliver(struct ts_ts2021_conn *conn, const uint8_t *data,
		   size_t len)
{
	int err = len > 0 ? conn->ops.stream(conn->ctx, data, len) : 0;

	return err ? fail(conn, err, "stream: %s", ts_strerror(err)) : 0;
}

static int end_early(struct ts_ts2021_conn *conn)
{
	struct ts_reader r = ts_reader_init(ts_byte_queue_data(&conn->early),
					    ts_byte_queue_len(&conn->early));

	if (ts_scan_peek(&r) != '{' || ts_scan_skip(&r) ||
	    !ts_scan_at_end(&r))
		return fail(conn, -EBADMSG, "early payload is not JSON");
	ts_byte_queue_deinit(&conn->early);
	conn->state = CONN_OPEN;
	return 0;
}

static int read_early_head(struct ts_ts2021_conn *conn)
{
	const uint8_t *head = ts_byte_queue_data(&conn->early);
	struct ts_reader r = ts_reader_init(head, EARLY_HEAD_LEN);
	const uint8_t *magic = ts_read_view(&r, EARLY_MAGIC_LEN);
	uint32_t body_len = ts_read_be32(&r);
	int err;

	if (memcmp(magic, EARLY_MAGIC, EARLY_MAGIC_LEN) != 0) {
		conn->state = CONN_OPEN;
		err = deliver(conn, head, EARLY_HEAD_LEN);
		ts_byte_queue_deinit(&conn->early);
		return err;
	}
	if (body_len > EARLY_BODY_MAX)
		return fail(conn, -EMSGSIZE, "early payload of %u bytes",
			    body_len);
	ts_byte_queue_clear(&conn->early);
	conn->early_left = body_len;
	conn->state = CONN_EARLY_BODY;
	return body_len == 0 ? end_early(conn) : 0;
}

/* Take what belongs to the early payload off the front of data. */
static int take_early(struct ts_ts2021_conn *conn, const uint8_t **data,
		      size_t *len)
{
	size_t have = ts_byte_queue_len(&conn->early);
	size_t want = conn->state == CONN_EARLY_HEAD ? EARLY_HEAD_LEN - have
						     : conn->early_left;
	size_t n = want < *len ? want : *len;
	int err = ts_byte_queue_push(&conn->early, *data, n);

	if (err)
		return fail(conn, err, "early payload: %s", ts_strerror(err));
	*data += n;
	*len -= n;
	if (n < want) {
		if (conn->state == CONN_EARLY_BODY)
			conn->early_left -= n;
		return 0;
	}
	return conn->state == CONN_EARLY_HEAD ? read_early_head(conn)
					      : end_early(conn);
}

static int take_plain(struct ts_ts2021_conn *conn, const uint8_t *data,
		      size_t len)
{
	int err = 0;

	while (!err && len > 0 && conn->state != CONN_OPEN)
		err = take_early(conn, &data, &len);
	return err ? err : deliver(conn, data, len);
}

static int read_record(struct ts_ts2021_conn *conn)
{
	uint8_t plain[TS_NOISE_PLAIN_MAX];
	size_t plain_len = 0;
	int n = ts_noise_open_record(&conn->session,
				     ts_byte_queue_data(&conn->in),
				     ts_byte_queue_len(&conn->in), plain,
				     &plain_len);
	int err;

	if (n == -EAGAIN)
		return 0;
	if (n < 0)
		return fail(conn, n, "bad record: %s", ts_strerror(n));
	ts_byte_queue_drop(&conn->in, (size_t)n);
	err = take_plain(conn, plain, plain_len);
	ts_wipe(plain, plain_len);
	return err ? err : 1;
}

static int step(struct ts_ts2021_conn *conn)
{
	if (ts_byte_queue_len(&conn->in) == 0)
		return 0;
	switch (conn->state) {
	case CONN_UPGRADE:
		return read_upgrade(conn);
	case CONN_HANDSHAKE:
		return read_handshake(conn);
	case CONN_EARLY_HEAD:
	case CONN_EARLY_BODY:
	case CONN_OPEN:
		return read_record(conn);
	case CONN_DEAD:
		break;
	}
	return -EPROTO;
}

int ts_ts2021_input(struct ts_ts2021_conn *conn, const uint8_t *data,
		    size_t len)
{
	while (len > 0) {
		size_t n = len < INPUT_PIECE ? len : INPUT_PIECE;
		int err = ts_byte_queue_push(&conn->in, data, n);

		if (err)
			return fail(conn, err, "input: %s", ts_strerror(err));
		data += n;
		len -= n;
		while ((err = step(conn)) > 0)
			;
		if (err)
			return err;
	}
	return 0;
}

int ts_ts2021_send(struct ts_ts2021_conn *conn, const uint8_t *data, size_t len)
{
	uint8_t record[TS_NOISE_FRAME_MAX];

	if (!ts_ts2021_is_open(conn))
		return -EPROTO;
	while (len > 0) {
		size_t n = len < TS_NOISE_PLAIN_MAX ? len : TS_NOISE_PLAIN_MAX;
		int err = ts_noise_seal_record(&conn->session, data, n, record);

		if (err)
			return fail(conn, err, "send: %s", ts_strerror(err));
		conn->ops.write(conn->ctx, record,
				n + TS_NOISE_RECORD_OVERHEAD);
		data += n;
		len -= n;
	}
	return 0;
}

bool ts_ts2021_is_open(const struct ts_ts2021_conn *conn)
{
	return conn->state >= CONN_EARLY_HEAD && conn->state <= CONN_OPEN;
}

const char *ts_ts2021_error(const struct ts_ts2021_conn *conn)
{
	return conn->error[0] ? conn->error : "no reason known";
}

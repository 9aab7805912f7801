/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_ts2021.c - what a server can say
 *
 * First byte even: raw bytes to a connection that waits for its upgrade. Odd:
 * the handshake is made properly and the bytes come inside of records, where
 * HTTP/2 with one request under way reads them.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/control/h2_client.h"
#include "core/control/ts2021_conn.h"
#include "core/control/ts2021_noise.h"
#include "core/crypto/secret.h"

enum { REQUEST_CAP = 1024, RECORD_PLAIN = 100 };

struct world {
	struct ts_ts2021_conn *conn;
	struct ts_h2_client *h2;
	char request[REQUEST_CAP];
	size_t request_len;
};

static void on_write(void *ctx, const uint8_t *data, size_t len)
{
	struct world *w = ctx;

	if (w->request_len || len >= REQUEST_CAP)
		return;
	memcpy(w->request, data, len);
	w->request_len = len;
}

static int on_h2_write(void *ctx, const uint8_t *data, size_t len)
{
	return ts_ts2021_send(((struct world *)ctx)->conn, data, len);
}

static void on_goaway(void *ctx, uint32_t code)
{
	(void)ctx;
	(void)code;
}

static void on_head(void *ctx, int status, const char *retry_after)
{
	(void)ctx;
	(void)status;
	(void)retry_after;
}

static void on_body(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	(void)data;
	(void)len;
}

static void on_end(void *ctx, const char *error)
{
	(void)ctx;
	(void)error;
}

static int on_opened(void *ctx)
{
	static const struct ts_h2_ops h2_ops = {on_h2_write, on_goaway};
	static const struct ts_h2_reply_ops reply_ops = {on_head, on_body,
							 on_end};
	struct ts_h2_request request = {.method = "POST",
					.path = "/machine/map",
					.authority = "h",
					.body = "{}",
					.body_len = 2,
					.ops = &reply_ops};
	struct world *w = ctx;

	w->h2 = ts_h2_new(&h2_ops, w);
	if (!w->h2)
		return -1;
	ts_h2_submit(w->h2, &request);
	return ts_h2_flush(w->h2);
}

static int on_stream(void *ctx, const uint8_t *data, size_t len)
{
	return ts_h2_input(((struct world *)ctx)->h2, data, len);
}

static int shake_hands(struct world *w, const struct ts_private_key *control,
		       struct ts_noise_session *server)
{
	static const char head[] =
		"HTTP/1.1 101 x\r\nUpgrade: tailscale-control-protocol\r\n\r\n";
	const char *header =
		memmem(w->request, w->request_len, "Handshake: ", 11);
	uint8_t *initiation, response[TS_NOISE_RESPONSE_LEN];
	size_t len;
	int err;

	if (!header || ts_base64_decode(header + 11, 136, &initiation, &len))
		return -1;
	err = ts_noise_respond(control, NULL, initiation, response, server);
	free(initiation);
	if (err)
		return err;
	ts_ts2021_input(w->conn, (const uint8_t *)head, sizeof(head) - 1);
	return ts_ts2021_input(w->conn, response, sizeof(response));
}

static void feed_records(struct world *w, struct ts_noise_session *server,
			 const uint8_t *data, size_t len)
{
	uint8_t record[RECORD_PLAIN + TS_NOISE_RECORD_OVERHEAD];

	while (len > 0) {
		size_t n = len < RECORD_PLAIN ? len : RECORD_PLAIN;

		ts_noise_seal_record(server, data, n, record);
		if (ts_ts2021_input(w->conn, record,
				    n + TS_NOISE_RECORD_OVERHEAD))
			return;
		data += n;
		len -= n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct ts_ts2021_ops ops = {on_write, on_opened,
						 on_stream};
	struct ts_ts2021_config config = {.authority = "h", .version = 145};
	struct ts_noise_session server = {0};
	struct ts_private_key control;
	struct world w = {0};

	if (len == 0 || ts_crypto_init())
		return 0;
	memset(&control, 7, sizeof(control));
	memset(&config.machine_key, 9, sizeof(config.machine_key));
	ts_public_key_from_private(&control, &config.server_key);
	w.conn = ts_ts2021_new(&config, &ops, &w);
	if (w.conn && !ts_ts2021_start(w.conn)) {
		if (data[0] % 2 == 0)
			ts_ts2021_input(w.conn, data + 1, len - 1);
		else if (!shake_hands(&w, &control, &server))
			feed_records(&w, &server, data + 1, len - 1);
	}
	ts_h2_free(w.h2);
	ts_ts2021_free(w.conn);
	ts_noise_session_deinit(&server);
	return 0;
}

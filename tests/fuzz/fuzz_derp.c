/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_derp.c - what a DERP server may send: the upgrade's answer and frames
 *
 * The first byte chooses plain upgrade or fast start and the size of the
 * pieces in which the rest arrives.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/path/derp_client.h"
#include "core/path/derp_info_json.h"

static void on_write(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx, (void)data, (void)len;
}

static size_t on_queued(void *ctx)
{
	(void)ctx;
	return 0;
}

static void on_ready(void *ctx, uint64_t now_ms)
{
	(void)ctx, (void)now_ms;
}

static void on_packet(void *ctx, const struct ts_public_key *src,
		      const uint8_t *pkt, size_t len, uint64_t now_ms)
{
	static uint8_t copy[DERP_PACKET_MAX_LEN];

	(void)ctx, (void)src, (void)now_ms;
	if (len > sizeof(copy))
		abort();
	memcpy(copy, pkt, len); /* the sanitizer sees each byte */
}

static void on_peer_gone(void *ctx, const struct ts_public_key *peer)
{
	(void)ctx, (void)peer;
}

static void on_health(void *ctx, const char *problem)
{
	if (problem && strlen(problem) >= DERP_HEALTH_TEXT_CAP)
		abort();
	(void)ctx;
}

static const struct ts_derp_client_ops ops = {
	.write = on_write,
	.queued = on_queued,
	.ready = on_ready,
	.packet = on_packet,
	.peer_gone = on_peer_gone,
	.health = on_health,
};

static void run_client(const uint8_t *data, size_t len, bool fast, size_t piece)
{
	static const struct ts_public_key server = {{9}};
	struct ts_derp_identity identity = {.private_key = {{8, 1, 2, 3}}};
	struct ts_derp_hello hello = {
		.host_name = "derp",
		.meta_key = fast ? &server : NULL,
	};
	struct ts_derp_client client;
	int err;

	ts_public_key_from_private(&identity.private_key, &identity.public_key);
	ts_derp_client_init(&client, 1, &identity, &ops, NULL);
	err = ts_derp_client_open(&client, &hello, 1);
	for (size_t at = 0; at < len && !err; at += piece) {
		size_t n = len - at < piece ? len - at : piece;

		err = ts_derp_client_input(&client, data + at, n, 2);
	}
	ts_derp_client_deinit(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_derp_server_info server;
	struct ts_derp_client_info client;
	size_t piece;

	if (len == 0 || ts_crypto_init() != 0)
		return 0;
	ts_log_set_level(TS_LOG_OFF);
	piece = (size_t)(data[0] >> 1);
	run_client(data + 1, len - 1, data[0] & 1, piece ? piece : len);
	ts_derp_server_info_from_json((const char *)data, len, &server);
	ts_derp_client_info_from_json((const char *)data, len, &client);
	return 0;
}

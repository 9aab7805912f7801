/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_kube_secret.c - the API server's answers about a state's Secret
 *
 * The input is a row of answers, each with a status and a length before it; a
 * change is made after each, so that changes are refused, lost and merged. The
 * machine key that the node has made must outlive all of them. Each answer is read
 * as a certificate's Secret, too.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/crypto/secret.h"
#include "core/state/kube_cert.h"
#include "core/state/kube_secret.h"

enum { ANSWERS_MAX = 64 };

static const int statuses[] = {200, 201, 401, 403, 404, 409, 422, 500};

static void check_request(struct ts_kube_request *rq)
{
	if (!rq->method || !rq->path || rq->path[0] != '/' ||
	    strpbrk(rq->path, " \r\n") || (rq->content_type && !rq->body) ||
	    (rq->body && strlen(rq->body) != rq->body_len))
		abort();
	ts_kube_request_deinit(rq);
}

static void read_cert(const char *text, size_t len)
{
	struct ts_kube_request rq;
	struct ts_kube_cert cert;
	char err[128];

	if (ts_kube_cert_read(text, len, &cert, err))
		return;
	if (!cert.key_pem[0] || !cert.chain_pem[0] ||
	    ts_kube_cert_write("ns", "name", &cert, &rq))
		abort();
	check_request(&rq);
	ts_kube_cert_deinit(&cert);
}

static void answer(struct ts_kube_secret *k, struct ts_reader *r,
		   uint64_t now_ms)
{
	uint8_t kind = ts_read_u8(r);
	uint16_t len = ts_read_be16(r);
	struct ts_reader body = ts_read_block(r, len <= r->left
							     ? len : r->left);
	char *text = malloc(body.left + 1); /* NUL-terminated, as libcurl's */

	memcpy(text, body.at, body.left);
	text[body.left] = '\0';
	read_cert(text, body.left);
	if (kind & 0x80)
		ts_kube_secret_failed(k, "lost", now_ms);
	else
		ts_kube_secret_input(k, statuses[kind % 8], text, body.left,
				     now_ms);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_state *state = ts_state_new();
	struct ts_kube_secret *k = ts_kube_secret_new("ns", "name", state);
	struct ts_reader r = {.at = data, .left = len};
	uint64_t now_ms = 0;
	bool has_key = false;
	size_t key_len;

	ts_crypto_init();
	for (int i = 0; i < ANSWERS_MAX && r.left > 0; i++) {
		struct ts_kube_request rq;

		now_ms += 60000;
		if (ts_kube_secret_output(k, now_ms, &rq) == 0) {
			check_request(&rq);
			answer(k, &r, now_ms);
		} else {
			ts_read_u8(&r);
		}
		if (ts_kube_secret_phase(k) != TS_KUBE_READY)
			continue;
		has_key = true;
		ts_state_set(state, "_machinekey", "ours", 4);
		ts_state_set(state, "_serve/x", &i, sizeof(i));
	}
	if (has_key && (!ts_state_get(state, "_machinekey", &key_len) ||
			key_len != 4))
		abort();
	ts_kube_secret_free(k);
	ts_state_free(state);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_acme.c - a CA's answers to an order, and a chain from anywhere
 *
 * The input is a row of answers: a byte that says status, nonce and Location,
 * a length, the body. Whatever comes, requests go to the directory's server by
 * its scheme, and no certificate is taken that does not belong to our key.
 */
#include <stdlib.h>
#include <string.h>

#include "core/acme/acme_json.h"
#include "core/acme/acme_order.h"
#include "core/base/wire.h"
#include "core/crypto/secret.h"

#define DOMAIN "web.tail.ts.net"

enum { STEPS_MAX = 64, NOW = 1750000000 };

static const int statuses[] = {200, 201, 0, 400, 429, 500, 403, 304};

static struct ts_acme_key *account_key(void)
{
	static struct ts_acme_key *key; /* to make one takes its time */

	if (!key)
		key = ts_acme_key_new();
	return key;
}

static void check_call(const struct ts_acme_step *step)
{
	if (!ts_acme_url_is_fine(step->url, "https://ca/") ||
	    (strcmp(step->method, "POST") == 0) != (step->body != NULL))
		abort();
}

static char *take_text(struct ts_reader *r)
{
	uint16_t len = ts_read_be16(r);
	struct ts_reader body = ts_read_block(r, len <= r->left ? len
								: r->left);
	char *text = malloc(body.left + 1);

	memcpy(text, body.at, body.left);
	text[body.left] = '\0';
	return text;
}

static void answer(struct ts_acme_order *o, struct ts_reader *r,
		   uint64_t now_ms)
{
	uint8_t kind = ts_read_u8(r);
	char *body = take_text(r);
	size_t len = strlen(body);
	struct ts_acme_reply reply = {
		.status = statuses[kind % 8],
		.body = body,
		.len = len,
		.error = "lost",
		.nonce = kind & 8 ? "nonce" : kind & 16 ? "no nonce" : "",
		.location = kind & 32 ? "https://ca/x"
			    : kind & 64 ? "http://other/" : "",
		.retry_after = kind & 128 ? "99999999999" : "",
	};

	ts_acme_order_reply(o, &reply, now_ms, NOW);
	free(body);
}

static void read_alone(const uint8_t *data, size_t len)
{
	char *text = strndup((const char *)data, len);
	struct ts_cert_pair pair = {text, text};
	struct ts_cert_info info;
	int64_t first, last;

	free(ts_cert_chain_read(text, strlen(text)));
	ts_cert_info(text, &info);
	ts_cert_check(&pair, DOMAIN, NULL, NOW);
	ts_acme_read_window(text, strlen(text), &first, &last);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct ts_acme_want want = {
		.directory_url = "https://ca/dir",
		.domain = DOMAIN,
		.replaces = "a.b",
		.by_alpn = len > 0 && data[len - 1] == 'A',
	};
	struct ts_acme_order *o;
	struct ts_reader r = {.at = data, .left = len};
	uint64_t now_ms = 0;

	ts_crypto_init();
	read_alone(data, len);
	o = ts_acme_order_new(&want, account_key(), 0);
	for (int i = 0; i < STEPS_MAX; i++) {
		struct ts_acme_step step;

		ts_acme_order_next(o, now_ms, &step);
		if (step.kind == TS_ACME_DONE)
			abort(); /* nobody can sign for our new key */
		if (step.kind == TS_ACME_FAILED)
			break;
		if (step.kind == TS_ACME_DNS || step.kind == TS_ACME_ALPN)
			ts_acme_order_proof_reply(o, NULL);
		if (step.kind == TS_ACME_CALL && r.left > 0) {
			check_call(&step);
			answer(o, &r, now_ms);
		}
		free(step.body);
		if (ts_acme_order_deadline_ms(o) > now_ms)
			now_ms = ts_acme_order_deadline_ms(o);
	}
	ts_acme_order_free(o);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_kube_events.c - the API server's answers about Events on our Pod
 *
 * A row of answers, each with a status and a length before it. Whatever they
 * are, each thing that happened is told or given up in a few requests.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/state/kube_events.h"

enum { REQUESTS_MAX = 3 + 2 * KUBE_REASON_COUNT };

static const int statuses[] = {200, 201, 0, 403, 404, 409, 422, 500};

static void answer(struct ts_kube_events *e, struct ts_reader *r)
{
	uint8_t kind = ts_read_u8(r);
	uint16_t len = ts_read_be16(r);
	struct ts_reader body = ts_read_block(r, len <= r->left ? len
								: r->left);
	char *text = malloc(body.left + 1); /* NUL-terminated, as libcurl's */

	memcpy(text, body.at, body.left);
	text[body.left] = '\0';
	ts_kube_events_input(e, statuses[kind % 8], text, body.left);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_kube_events *e = ts_kube_events_new("ns", "pod", "uid");
	struct ts_reader r = ts_reader_init(data, len);
	struct ts_kube_request rq;
	int requests = 0;

	for (int i = 0; i < KUBE_REASON_COUNT; i++)
		ts_kube_events_note(e, (enum ts_kube_reason)i, "words");
	while (ts_kube_events_output(e, 1750000000, &rq) == 0) {
		if (++requests > REQUESTS_MAX || rq.path[0] != '/' ||
		    (rq.body && strlen(rq.body) != rq.body_len))
			abort();
		ts_kube_request_deinit(&rq);
		answer(e, &r);
	}
	ts_kube_events_free(e);
	return 0;
}

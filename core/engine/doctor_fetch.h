/* SPDX-License-Identifier: BSD-3-Clause
 * doctor_fetch.h - one GET over a link of core/io, and its whole answer
 */
#ifndef CORE_ENGINE_DOCTOR_FETCH_H
#define CORE_ENGINE_DOCTOR_FETCH_H

#include <stdbool.h>

#include "core/base/byte_queue.h"
#include "core/base/http1.h"
#include "core/io/link.h"

/* Several, on a loop of their own. */
struct fetches {
	struct ts_loop *loop;
	struct ts_resolver *resolver;
	struct ts_timer *timer;
	size_t running;
	bool is_late;
};

struct fetch {
	struct fetches *all;
	struct ts_link *link; /* NULL: ended, or never begun */
	char request[640];
	struct ts_byte_queue answer;
	bool was_connected;
	char error[256]; /* "": none */
	/* After fetches_run(), when there was an answer: */
	struct ts_http1_head head;
	const char *body;
	size_t body_len;
};

/* 0 or -ENOMEM */
int fetches_init(struct fetches *all);
void fetches_deinit(struct fetches *all);
/* host: as the server is to be called in the request. */
void fetch_start(struct fetch *f, struct fetches *all,
		 const struct ts_link_config *link, const char *host,
		 const char *path);
/* Until all have ended, at most so long. */
void fetches_run(struct fetches *all, unsigned timeout_ms);
void fetch_end(struct fetch *f); /* after fetches_run(), before its deinit */
/* Was there an HTTP answer at all? */
bool fetch_has_answer(const struct fetch *f);

#endif

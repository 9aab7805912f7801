/* SPDX-License-Identifier: BSD-3-Clause
 * derp_report_internal.h - a report of a DERP region, while it is made
 *
 *   derp_report  a region: what is tried, what is said, the end
 *   derp_tasks   one try each: DERP's greeting by TLS, port 80, STUN
 */
#ifndef CORE_ENGINE_DERP_REPORT_INTERNAL_H
#define CORE_ENGINE_DERP_REPORT_INTERNAL_H

#include "core/engine/engine_internal.h"
#include "core/path/derp_wire.h"
#include "core/path/stun.h"

enum {
	DERP_REPORT_MS = 10 * 1000,
	DERP_REPORT_NODES_MAX = 16, /* that are tried */
	DERP_REPORT_TRIES_MORE = 3,
	DERP_REPORT_KEYS_MAX = 2 + DERP_REPORT_TRIES_MORE,
	DERP_REPORT_STUN_AGAIN_MS = 1000,
};

enum derp_task_kind { BY_IPV4, BY_IPV6, ONCE_MORE, BY_PORT_80, BY_STUN };

struct derp_node_report {
	char *name;
	/* Those that are different. */
	struct ts_public_key keys[DERP_REPORT_KEYS_MAX];
	size_t key_count;
	bool has_v4, has_v6;
};

struct derp_task {
	struct derp_report *report;
	struct derp_node_report *node;
	enum derp_task_kind kind;
	struct derp_task *next, **pprev;
	struct ts_link *link;
	struct ts_http_request *http;
	struct ts_resolve *lookup;
	struct ts_watch *watch;
	int fd; /* -1: none */
	struct ts_addr stun;
	uint8_t tx_id[STUN_TX_ID_LEN];
	int tries;
	struct ts_byte_queue head;
	struct ts_derp_stream stream;
	bool has_head, has_key;
};

struct derp_report {
	struct ts_engine *engine;
	struct derp_report *next, **pprev;
	json_t *json;
	struct derp_node_report nodes[DERP_REPORT_NODES_MAX];
	size_t node_count;
	struct derp_task *tasks;
	bool has_all; /* tasks */
	struct ts_timer *timer, *again;
	void (*done)(void *done_ctx, json_t *report);
	void *done_ctx;
};

/* -- derp_report.c -------------------------------------------------------- */
/* One more sentence of "Info", "Warnings" or "Errors". */
__attribute__((format(printf, 3, 4))) void
derp_report_say(struct derp_report *r, const char *list, const char *format,
		...);
/* " over IPv4", for sentences. */
const char *derp_task_way(const struct derp_task *t);
void derp_task_no_stun(const struct derp_task *t);
struct derp_task *derp_task_new(struct derp_report *r,
				struct derp_node_report *node,
				enum derp_task_kind kind);
/* Frees t, soon the report as well when it was the last. */
void derp_task_end(struct derp_task *t);

/* -- derp_tasks.c --------------------------------------------------------- */
void derp_task_greet(struct derp_report *r, struct derp_node_report *n,
		     const struct ts_derp_node *node, enum derp_task_kind kind);
void derp_task_page(struct derp_report *r, struct derp_node_report *n);
void derp_task_stun(struct derp_report *r, struct derp_node_report *n,
		    const struct ts_derp_node *node);
void derp_tasks_stun_again(void *report); /* the timer: one may be lost */

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 * path_doubt.h - may the path in use have ended?
 *
 * Trust lasts for seconds, and a transfer stands still for as long when the
 * path ends before. So every sign is taken for a reason to ask, by a ping
 * along the path; when that is not answered in time, the trust ends:
 *
 *   sending, and nothing came back for 300 ms
 *   a busy peer fell silent: 32 packets or more, then none for 700 ms
 *   nothing at all was heard for longer than heartbeats take
 *   a handshake begins: its own next try would be 5 s later
 *
 * At once, as asking would be no faster:
 *
 *   the peer is heard by another way, and not along this one: it has moved, or
 *   has given up this path
 *   the kernel refuses to send there
 *
 * Only bookkeeping: the caller sends the pings.
 */
#ifndef CORE_PATH_PATH_DOUBT_H
#define CORE_PATH_PATH_DOUBT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/path/path_addr.h"

enum {
	DOUBT_SILENCE_MS = 300,
	/* For the answer; or four times the latency, if that is longer. */
	DOUBT_WAIT_MS = 400,
	DOUBT_STALE_MS = 3500, /* a heartbeat, and time for its pong */
	DOUBT_BUSY_PACKETS = 32,
	DOUBT_QUIET_MS = 700,
	/* Not heard along the path for so long, when heard elsewhere. */
	DOUBT_ELSEWHERE_MS = 200,
	/* Between two ends of trust for what others do. */
	DOUBT_AGAIN_MS = 500,
};

struct ts_path_doubt {
	uint64_t heard_ms; /* along the path in use */
	uint64_t any_heard_ms;
	uint64_t unheard_ms; /* first send since something came; 0: none */
	uint64_t end_ms;     /* the trust ends then; UINT64_MAX: no doubt */
	uint64_t quiet_ms;   /* when to look; UINT64_MAX: it is not busy */
	uint64_t again_ms;
	unsigned packets; /* heard, until it is called busy */
	/* By which other way the peer was heard last. One that sends by one
	 * way and is reached by another is no news after the first time. */
	struct ts_path_addr elsewhere;
	bool is_lost;     /* trust ended, and nothing was heard since */
};

void ts_path_doubt_init(struct ts_path_doubt *d);
/* There is nothing to doubt. */
void ts_path_doubt_clear(struct ts_path_doubt *d);
/* The path works. */
void ts_path_doubt_confirmed(struct ts_path_doubt *d, uint64_t now_ms);
/* A packet leaves by the trusted path. True: ask. */
bool ts_path_doubt_sent(struct ts_path_doubt *d, uint64_t now_ms);
/* The ping is on its way. */
void ts_path_doubt_asked(struct ts_path_doubt *d, uint64_t latency_us,
			 uint64_t now_ms);
/* Something authentic came, by whatever way. True: for the first time since
 * the trust ended. */
bool ts_path_doubt_heard(struct ts_path_doubt *d, uint64_t now_ms);
/* It came by another way than the trusted one: that may end now. */
void ts_path_doubt_elsewhere(struct ts_path_doubt *d,
			     const struct ts_path_addr *from, uint64_t now_ms);
void ts_path_doubt_ended(struct ts_path_doubt *d);
/* quiet_ms has come. True: it was busy, and is silent. */
bool ts_path_doubt_is_quiet(struct ts_path_doubt *d, uint64_t now_ms);
uint64_t ts_path_doubt_deadline_ms(const struct ts_path_doubt *d);

#endif

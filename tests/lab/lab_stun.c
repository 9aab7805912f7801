/* SPDX-License-Identifier: BSD-3-Clause
 * lab_stun.c - a STUN server
 *
 * Source: net/stun/stun.go, net/stunserver
 */
#include "tests/lab/lab_stun.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/path/stun.h"

enum { PACKETS_PER_EVENT = 64, PACKET_CAP = 1500 };

struct lab_stun {
	struct ts_watch *watch;
	int fd;
	struct ts_addr addr;
	bool silent;
	uint64_t requests, answers, rejected;
};

static void answer(struct lab_stun *stun, const uint8_t *pkt, size_t len,
		   const struct sockaddr_storage *from, socklen_t from_len)
{
	uint8_t tx_id[STUN_TX_ID_LEN], out[STUN_RESPONSE_MAX_LEN];
	struct ts_addr addr;
	size_t out_len;

	if (ts_stun_read_request(pkt, len, tx_id) ||
	    ts_addr_from_sockaddr((const struct sockaddr *)from, from_len,
				  &addr)) {
		stun->rejected++;
		return;
	}
	stun->requests++;
	if (stun->silent)
		return;
	out_len = ts_stun_write_response(tx_id, &addr, out);
	if (sendto(stun->fd, out, out_len, MSG_DONTWAIT,
		   (const struct sockaddr *)from, from_len) >= 0)
		stun->answers++;
}

static void on_readable(void *ctx, unsigned events)
{
	struct lab_stun *stun = ctx;
	uint8_t pkt[PACKET_CAP];

	(void)events;
	for (int i = 0; i < PACKETS_PER_EVENT; i++) {
		struct sockaddr_storage from;
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(stun->fd, pkt, sizeof(pkt), MSG_DONTWAIT,
				     (struct sockaddr *)&from, &from_len);

		if (n < 0)
			return;
		answer(stun, pkt, (size_t)n, &from, from_len);
	}
}

static int bind_udp(struct lab_stun *stun)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	int family = ts_addr_family(&stun->addr);
	int len = ts_addr_to_sockaddr(&stun->addr, family, &ss);

	if (len < 0)
		return len;
	stun->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (stun->fd < 0 ||
	    bind(stun->fd, (struct sockaddr *)&ss, (socklen_t)len) < 0 ||
	    getsockname(stun->fd, (struct sockaddr *)&ss, &ss_len) < 0)
		return -errno;
	return ts_addr_from_sockaddr((struct sockaddr *)&ss, ss_len,
				     &stun->addr);
}

int lab_stun_open(struct ts_loop *loop, const struct ts_addr *bind_to,
		  struct lab_stun **out)
{
	struct lab_stun *stun = calloc(1, sizeof(*stun));
	int err;

	if (!stun)
		return -ENOMEM;
	stun->fd = -1;
	stun->addr = *bind_to;
	err = bind_udp(stun);
	if (!err) {
		stun->watch = ts_watch_new(loop, stun->fd, TS_READABLE,
					   on_readable, stun);
		err = stun->watch ? 0 : -ENOMEM;
	}
	if (err)
		lab_stun_close(stun);
	else
		*out = stun;
	return err;
}

void lab_stun_close(struct lab_stun *stun)
{
	if (!stun)
		return;
	ts_watch_free(stun->watch);
	if (stun->fd >= 0)
		close(stun->fd);
	free(stun);
}

uint16_t lab_stun_port(const struct lab_stun *stun)
{
	return stun->addr.port;
}

void lab_stun_set_answering(struct lab_stun *stun, bool on)
{
	stun->silent = !on;
}

json_t *lab_stun_stats(const struct lab_stun *stun)
{
	return json_pack("{s:I, s:I, s:I}", "requests",
			 (json_int_t)stun->requests, "answers",
			 (json_int_t)stun->answers, "rejected",
			 (json_int_t)stun->rejected);
}

/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_batch.c - datagrams on their way to programs
 *
 * What arrives in one turn of the loop is copied into one buffer and goes out
 * when the loop sleeps, or when it is a burst already, by one sendmmsg per
 * socket. Neighbours of one flow and one length are one message that the
 * kernel takes apart (UDP_SEGMENT); a program that did not ask for UDP_GRO
 * gets them one by one. A full socket buffer loses datagrams, as UDP does.
 *
 * The kernel may report an earlier error on a send: what is wrong then is read
 * from the error queue later (datagram_socket.c), and the datagram is sent
 * again.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/host/app_datagram.h"

enum {
	MESSAGES = 64,
	BUFFER_BYTES = 128 * 1024,
	/* So much at a time: a program with the usual socket buffer has room
	 * for it, and begins to read while more arrives. */
	BURST_BYTES = 48 * 1024,
	SEGMENTS_MAX = 64,
	BUNDLE_BYTES_MAX = 60000,
};

union out_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) +
		      CMSG_SPACE(sizeof(uint16_t)) +
		      2 * CMSG_SPACE(sizeof(int))];
};

struct out_message {
	int fd;
	uint64_t flow_id;
	struct sockaddr_storage to;
	socklen_t to_len; /* 0: the socket is connected */
	struct in_addr from;
	bool has_from; /* W: which virtual address */
	bool is_v6;
	struct dgram_marks marks;
	size_t at, len;
	size_t each; /* length of every datagram but the last */
	unsigned count;
	bool is_closed; /* the last was shorter: no more */
};

struct dgram_out {
	unsigned count;
	size_t used; /* of data */
	bool no_segments;
	struct out_message messages[MESSAGES];
	struct mmsghdr headers[MESSAGES];
	struct iovec iov[MESSAGES];
	union out_control control[MESSAGES];
	uint8_t data[BUFFER_BYTES];
};

int ts_dgram_batch_open(struct ts_host *host)
{
	host->dgrams->out = calloc(1, sizeof(*host->dgrams->out));
	return host->dgrams->out ? 0 : -ENOMEM;
}

void ts_dgram_batch_close(struct ts_host *host)
{
	free(host->dgrams->out);
	host->dgrams->out = NULL;
}

/* -- out ------------------------------------------------------------------ */

static void add_control(struct msghdr *msg, int level, int type,
			const void *value, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)(
		(uint8_t *)msg->msg_control + msg->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
	msg->msg_controllen += CMSG_SPACE(len);
}

static void add_marks(struct msghdr *msg, const struct out_message *m)
{
	const int hop_limit = m->marks.hop_limit;
	const int traffic_class = m->marks.traffic_class;
	int level = m->is_v6 ? IPPROTO_IPV6 : IPPROTO_IP;

	add_control(msg, level, m->is_v6 ? IPV6_HOPLIMIT : IP_TTL, &hop_limit,
		    sizeof(hop_limit));
	add_control(msg, level, m->is_v6 ? IPV6_TCLASS : IP_TOS,
		    &traffic_class, sizeof(traffic_class));
}

static void make_header(struct dgram_out *out, unsigned i)
{
	struct out_message *m = &out->messages[i];
	struct msghdr *msg = &out->headers[i].msg_hdr;
	const struct in_pktinfo from = {.ipi_spec_dst = m->from};
	const uint16_t each = (uint16_t)m->each;

	out->iov[i] = (struct iovec){out->data + m->at, m->len};
	*msg = (struct msghdr){.msg_iov = &out->iov[i], .msg_iovlen = 1};
	if (m->to_len) {
		msg->msg_name = &m->to;
		msg->msg_namelen = m->to_len;
	}
	memset(&out->control[i], 0, sizeof(out->control[i]));
	msg->msg_control = out->control[i].bytes;
	if (m->has_from)
		add_control(msg, IPPROTO_IP, IP_PKTINFO, &from, sizeof(from));
	if (m->count > 1)
		add_control(msg, SOL_UDP, UDP_SEGMENT, &each, sizeof(each));
	if (m->marks.hop_limit)
		add_marks(msg, m);
	if (msg->msg_controllen == 0)
		msg->msg_control = NULL;
}

/* A bundle that the kernel would not take apart. */
static void send_singly(struct dgram_out *out, unsigned i)
{
	struct out_message whole = out->messages[i];
	struct out_message *m = &out->messages[i];

	for (size_t at = 0; at < whole.len; at += whole.each) {
		m->at = whole.at + at;
		m->len = whole.len - at < whole.each ? whole.len - at
						     : whole.each;
		m->count = 1;
		make_header(out, i);
		(void)sendmsg(m->fd, &out->headers[i].msg_hdr,
			      MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

static bool is_full(int err)
{
	return err == EAGAIN || err == ENOBUFS || err == ENOMEM;
}

/* Messages first to end - 1, all of one socket. */
static void send_run(struct dgram_out *out, unsigned first, unsigned end)
{
	bool is_second_try = false;

	while (first < end) {
		int sent = sendmmsg(out->messages[first].fd,
				    &out->headers[first], end - first,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			first += (unsigned)sent;
			is_second_try = false;
		} else if (is_full(errno)) {
			return;
		} else if (!is_second_try) { /* an earlier one's error */
			is_second_try = true;
		} else {
			if (out->messages[first].count > 1) {
				out->no_segments = true;
				send_singly(out, first);
			}
			first++;
			is_second_try = false;
		}
	}
}

void ts_dgram_flush(struct ts_host *host)
{
	struct dgram_out *out = host->dgrams->out;
	unsigned first = 0;

	for (unsigned i = 0; i < out->count; i++)
		make_header(out, i);
	while (first < out->count) {
		unsigned end = first + 1;

		while (end < out->count &&
		       out->messages[end].fd == out->messages[first].fd)
			end++;
		send_run(out, first, end);
		first = end;
	}
	out->count = 0;
	out->used = 0;
}

/* -- in ------------------------------------------------------------------- */

static bool has_same_marks(const struct out_message *m,
			   const struct dgram_marks *marks)
{
	const struct dgram_marks none = {0};

	return memcmp(&m->marks, marks ? marks : &none, sizeof(none)) == 0;
}

static bool join_bundle(struct dgram_out *out, const struct ts_dgram *flow,
			size_t len, const struct dgram_marks *marks)
{
	struct out_message *m;

	if (out->count == 0 || out->no_segments || len == 0)
		return false;
	m = &out->messages[out->count - 1];
	if (m->flow_id != flow->id || m->is_closed || len > m->each ||
	    !has_same_marks(m, marks) || m->count >= SEGMENTS_MAX ||
	    m->len + len > BUNDLE_BYTES_MAX)
		return false;
	m->len += len;
	m->count++;
	m->is_closed = len < m->each;
	return true;
}

static void new_message(struct dgram_out *out, const struct ts_dgram *flow,
			size_t len, const struct dgram_marks *marks)
{
	struct out_message *m = &out->messages[out->count++];
	int to_len;

	memset(m, 0, sizeof(*m));
	m->flow_id = flow->id;
	m->at = out->used;
	m->len = m->each = len;
	m->count = 1;
	m->is_closed = len == 0;
	m->is_v6 = !ts_ip_is_v4(&flow->virtual.ip);
	m->marks = marks ? *marks : (struct dgram_marks){0};
	m->fd = flow->fd < 0 ? flow->host->dgrams->fd : flow->fd;
	if (flow->is_connected)
		return;
	to_len = ts_addr_to_sockaddr(&flow->program,
				     ts_addr_family(&flow->program), &m->to);
	m->to_len = to_len < 0 ? 0 : (socklen_t)to_len;
	m->has_from = flow->fd < 0;
	m->from.s_addr = htonl(ts_ip_v4_host(&flow->virtual.ip));
}

void ts_dgram_batch_add(struct ts_dgram *flow, const void *data, size_t len,
			const struct dgram_marks *marks)
{
	struct dgram_out *out = flow->host->dgrams->out;

	if (len > DGRAM_MAX)
		return;
	if (out->count == MESSAGES || out->used + len > BUFFER_BYTES)
		ts_dgram_flush(flow->host);
	if (!join_bundle(out, flow, len, marks))
		new_message(out, flow, len, marks);
	memcpy(out->data + out->used, data, len);
	out->used += len;
	if (out->used >= BURST_BYTES ||
	    out->messages[out->count - 1].count == SEGMENTS_MAX)
		ts_dgram_flush(flow->host);
}

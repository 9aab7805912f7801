/* SPDX-License-Identifier: BSD-3-Clause
 * broker_wire.h - what a program asks of the host
 *
 * One AF_UNIX SOCK_SEQPACKET connection per request (it costs ~10 us and
 * survives closefrom), one request, one reply, then close. What is UNANSWERED
 * is a datagram to a socket of its own, TS_BROKER_TOLD behind the path, which
 * costs half; by a connection where that cannot be had. Integers are
 * big-endian, addresses 16 + 2 bytes, texts u16 length + bytes. The host
 * trusts nothing in here; the shim trusts nothing in a reply.
 * Every request begins with u8 type, u8 version and the 16-byte token (zeros
 * when not attached yet). Every reply begins with u8 type and i32 error
 * (positive errno or 0).
 *
 * A request is allowed when SO_PEERCRED's uid is the host's or 0, or the
 * token is the table's, or the peer descends from the host's process. One with
 * the token of another host's table is answered ESTALE, but for ATTACH: fetch
 * the table again.
 *
 * The table says which addresses programs have, and all who may ask read it. So
 * CONNECT, SEND, BOUND and OPTIONS bring the socket that they speak of, and
 * native_local is what the kernel says of it (core/host/request_proof.c).
 *
 *   ATTACH   -> ATTACHED, the table's fd by SCM_RIGHTS. The host answers as
 *               soon as the table exists, whether or not the node is up. name:
 *               the node that the program is to have alone (TSNET_NODE), or
 *               empty; ENODEV: there is none of that name. Each view has a
 *               table and a token of its own, by which later requests are
 *               known.
 *   CONNECT  + the program's socket by SCM_RIGHTS. Answered at once: 0 means
 *               "entry exists, go and connect natively to rendezvous". The end
 *               is told by the socket itself and the table (DESIGN 2.1).
 *               Errors: ENETUNREACH/EHOSTUNREACH (no such peer, no address of
 *               that family), ENOBUFS (too many held), EADDRNOTAVAIL.
 *               UNANSWERED by those that wait in connect() anyway: all errors
 *               are told there. Whose socket fails without an entry in the
 *               table was turned away, or never met the host: ask again.
 *   BIND     a bind to the node's own address, or to a wildcard with
 *               listen=tailnet: the reply's native address is what the shim
 *               must bind instead (127.x.y.z:port, with V6_ONLY at ::1; a free
 *               port where none was asked for; BOUND reports it).
 *               EADDRNOTAVAIL: not our address.
 *               EADDRINUSE: exact in the tailnet.
 *   BOUND    + the socket: tells which native address a BIND ended with.
 *   LISTEN   the program listens: tailnet address (ip :: = all our own,
 *            0.0.0.0 = our own IPv4 only: an AF_INET socket cannot name a v6
 *            peer) and the native address that the host connects to: an
 *            address, 0.0.0.0 (IPv4 or dual-stack wildcard) or :: (v6 only).
 *            With FALLBACK: of TCP, all ports that nobody listens at, and
 *            whatever the node routes for others; the tailnet address has no
 *            port. The peer is answered when the program says ACCEPTED, and
 *            refused when it resets the connection instead.
 *            With FLOWS + one end of a pair of SOCK_SEQPACKET sockets: of UDP,
 *            each new remote end comes by it as a connected socket. The
 *            reply has the tailnet's port. Until the other end is closed.
 *   ACCEPTED + the socket: the program took this tuple from its queue, bytes
 *            may flow. UNANSWERED by programs under tsrun, whose host is not
 *            replaced by another one: all that a reply could say is in the
 *            table.
 *   SEND     + the socket, one of datagrams (bound natively, perhaps to a
 *            wildcard) that wants to send to a tailnet address: the reply's
 *            native address is the flow's virtual one, and the table has SEND
 *            and DATAGRAM entries. With DEDICATED (the socket has IP_RECVERR)
 *            errors of the far end reach its queue.
 *            For datagrams (proto UDP) the others mean:
 *   CONNECT  + the socket. The reply's native address, a virtual one of a host
 *            socket that serves this flow alone, is what the shim connects
 *            to; the table has its DATAGRAM entry. native_local is what the
 *            socket is bound to, zero if it is not: then the far end sees a
 *            port that the host chooses. native_remote is not used. To no
 *            address: the program is about to disconnect the socket.
 *   BIND, BOUND as for TCP. LISTEN: a native bind to a wildcard was made, the
 *            tailnet address serves the same port.
 *   An echo socket (ping) is a UDP socket that stands in for one of
 *            SOCK_DGRAM or SOCK_RAW ICMP: proto ICMP or ICMPV6, messages are
 *            ICMP messages with their header (the host fills id and checksum
 *            of what is sent, and for RAW the id stays the program's and
 *            replies of IPv4 begin with their IP header).
 *   OPTIONS  + the socket: its options have changed; the host reads what of
 *            them concerns the tunnel from the socket itself. By its native
 *            tuple. (CONNECT and ACCEPTED bring the socket, too.)
 *   INFO     what the tunnel's connection knows of itself, by the socket's
 *            native tuple. ENOTCONN: none, or its tunnel end is over.
 *   DNS      a query as res_send(3) has it: a block behind the other fields,
 *            and so is the answer. Held like RESOLVE; what the tailnet cannot
 *            answer is NOT_OURS, and the program's own resolver's business.
 *   NOTIFY   + a seccomp listener: the host serves that process tree.
 *   DRAIN    from the host's own process alone, which is about to exec or, with
 *            END, to end: answered when all that programs sent is delivered.
 *            END: each of its connections gets a FIN.
 *   RESOLVE  a name; held until the netmap is there or the timeout is over.
 *   REVERSE  an address to a name.
 */
#ifndef CORE_BROKER_BROKER_WIRE_H
#define CORE_BROKER_BROKER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/broker/address_table.h"

#define TS_BROKER_TOLD ".told"

enum {
	TS_BROKER_VERSION = 4,
	TS_BROKER_MESSAGE_MAX = 1024,
	TS_BROKER_NAME_CAP = 256,
	TS_BROKER_ADDRS_MAX = 8,
	TS_BROKER_QUERY_MAX = 512,
	TS_BROKER_ANSWER_MAX = 65535,
	/* A reply without name and addresses, up to its block. */
	TS_BROKER_DNS_HEAD_LEN = 1 + 4 + 18 + 18 + 1 + 1 + 2 + 2,
};

enum ts_broker_type {
	TS_BROKER_ATTACH = 1,
	TS_BROKER_CONNECT,
	TS_BROKER_BIND,
	TS_BROKER_BOUND,
	TS_BROKER_LISTEN,
	TS_BROKER_ACCEPTED,
	TS_BROKER_RESOLVE,
	TS_BROKER_REVERSE,
	TS_BROKER_SEND,
	TS_BROKER_OPTIONS,
	TS_BROKER_INFO,
	TS_BROKER_DNS,
	TS_BROKER_NOTIFY,
	TS_BROKER_DRAIN,
	TS_BROKER_TYPE_LAST = TS_BROKER_DRAIN,
};

enum ts_broker_flags {
	TS_BROKER_NONBLOCK = 1 << 0,
	TS_BROKER_FALLBACK = 1 << 0, /* LISTEN */
	TS_BROKER_WANT_V4 = 1 << 1, /* RESOLVE */
	TS_BROKER_WANT_V6 = 1 << 2,
	/* BIND, BOUND, LISTEN: SO_REUSEADDR, SO_REUSEPORT */
	TS_BROKER_REUSE = 1 << 3,
	TS_BROKER_REUSE_PORT = 1 << 1,
	TS_BROKER_V6_ONLY = 1 << 4, /* a socket that cannot reach 127/8 */
	TS_BROKER_DEDICATED = 1 << 5, /* SEND */
	/* LISTEN: the node ends TLS in front of it, by its certificates */
	TS_BROKER_TLS = 1 << 5,
	TS_BROKER_RAW = 1 << 6,	      /* echo sockets */
	TS_BROKER_FLOWS = 1 << 6,     /* LISTEN */
	TS_BROKER_END = 1 << 7,	      /* DRAIN */
	/* LISTEN: connections from the internet come, too; and no others. */
	TS_BROKER_FUNNEL = 1 << 6,
	TS_BROKER_FUNNEL_ONLY = 1 << 2,
	/* CONNECT, ACCEPTED: nobody waits for a reply */
	TS_BROKER_UNANSWERED = 1 << 7,
};

struct ts_broker_request {
	uint8_t type, proto, flags;
	uint8_t token[TS_TABLE_TOKEN_LEN];
	struct ts_addr native_local; /* CONNECT, BOUND, LISTEN, ACCEPTED */
	struct ts_addr native_remote; /* CONNECT: R's; ACCEPTED: the peer's */
	struct ts_addr tailnet; /* CONNECT: where to; BIND, BOUND, LISTEN */
	char name[TS_BROKER_NAME_CAP]; /* RESOLVE */
	const uint8_t *data; /* DNS: the query, data_len bytes */
	size_t data_len;     /* up to TS_BROKER_QUERY_MAX */
	void *answer;	     /* shim only: where DNS's answer is put */
	size_t answer_cap;
	/* Host only. The node that the program named (0: none, else 1 + which),
	 * by its token; the one whose interface the socket is tied to. */
	uint8_t node, interface;
};

static inline bool ts_broker_is_unanswered(const struct ts_broker_request *req)
{
	return (req->type == TS_BROKER_CONNECT ||
		req->type == TS_BROKER_ACCEPTED) &&
	       (req->flags & TS_BROKER_UNANSWERED);
}

enum ts_broker_answer { TS_ANSWER_NOT_OURS, TS_ANSWER_FOUND,
			TS_ANSWER_NXDOMAIN };

/* INFO: numbers as in Linux's struct tcp_info, and in its units. */
struct ts_tunnel_info {
	uint8_t state, is_recovering, retransmits, probes, backoff;
	uint8_t has_sack, has_scale, send_scale, receive_scale;
	uint8_t congestion; /* enum ts_cc */
	uint16_t mtu, send_mss, advertised_mss;
	uint32_t rto_us, rtt_us, rtt_var_us, min_rtt_us;
	uint32_t cwnd, ssthresh, unacked, lost, sacked;
	uint32_t total_retransmits;
	uint32_t unsent_bytes, send_window, receive_window;
	uint64_t bytes_acked, bytes_received;
	uint64_t pacing_rate, delivery_rate; /* bytes/s */
};

struct ts_broker_reply {
	uint8_t type;
	int32_t error;
	struct ts_addr native;	/* BIND */
	struct ts_addr tailnet; /* CONNECT: the local end, if known already */
	uint8_t answer;		/* RESOLVE, REVERSE */
	uint8_t addr_count;
	struct ts_ip addrs[TS_BROKER_ADDRS_MAX];
	char name[TS_BROKER_NAME_CAP]; /* canonical; REVERSE's answer */
	struct ts_tunnel_info tunnel;  /* INFO alone has it on the wire */
	const uint8_t *data;	       /* DNS: the answer */
	size_t data_len;	       /* up to TS_BROKER_ANSWER_MAX */
};

/* Each returns the length written, or -ENOBUFS. */
int ts_broker_write_request(const struct ts_broker_request *req, uint8_t *out,
			    size_t cap);
int ts_broker_write_reply(const struct ts_broker_reply *rep, uint8_t *out,
			  size_t cap);
/* The same up to the block's bytes, for those who send them from elsewhere. */
int ts_broker_write_reply_head(const struct ts_broker_reply *rep, uint8_t *out,
			       size_t cap);
/* 0 or -EBADMSG (short, long, bad type, bad version, unterminated text). data
 * points into in. */
int ts_broker_read_request(const uint8_t *in, size_t len,
			   struct ts_broker_request *out);
int ts_broker_read_reply(const uint8_t *in, size_t len,
			 struct ts_broker_reply *out);
/* For those who let the block be received elsewhere: in ends where it begins,
 * out->data_len says how long it is. */
int ts_broker_read_reply_head(const uint8_t *in, size_t len,
			      struct ts_broker_reply *out);

#endif

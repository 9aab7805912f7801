/* SPDX-License-Identifier: BSD-3-Clause
 * native_socket.c - loopback TCP sockets as the host wants them
 *
 * Every socket of ours is non-blocking and close-on-exec, sends what it gets
 * at once, and bounds what the kernel buffers, so that a program feels the
 * tunnel's back-pressure. TTL is 255 because a program that set IP_MINTTL
 * (GTSM) would never see our packets otherwise.
 *
 * Where our descriptors are the program's too, a fork copies them. A copy keeps
 * connections open that we have closed, and the broker's name taken when we
 * are gone, so the child closes them all. A process has one table of
 * descriptors, hence the one set here of those that are ours; it is changed by
 * the loop's thread, before a close and after an open, and read after fork.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/crypto/secret.h"
#include "core/host/host_internal.h"

enum { KEPT_MAX = 1 << 16, KEPT_WORDS = KEPT_MAX / 64 };

static _Atomic uint64_t kept[KEPT_WORDS];

static void remember(int fd)
{
	if (fd < KEPT_MAX)
		atomic_fetch_or(&kept[fd / 64], 1ull << fd % 64);
}

static void forget(int fd)
{
	if (fd < KEPT_MAX)
		atomic_fetch_and(&kept[fd / 64], ~(1ull << fd % 64));
}

int ts_sock_keep(const struct ts_host *host, int fd)
{
	int high;

	if (fd < 0 || !host->shares_files)
		return fd;
	high = fd < HOST_FD_MIN ? fcntl(fd, F_DUPFD_CLOEXEC, HOST_FD_MIN) : fd;
	if (high < 0) /* a small RLIMIT_NOFILE: low is better than none */
		high = fd;
	remember(high);
	if (high != fd)
		close(fd);
	return high;
}

void ts_host_disown(void)
{
	for (int i = 0; i < KEPT_WORDS; i++) {
		uint64_t word = atomic_exchange(&kept[i], 0);

		for (int bit = 0; word; bit++, word >>= 1)
			if (word & 1)
				close(i * 64 + bit);
	}
}

static void set_int(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

int ts_sock_open(const struct ts_host *host, const struct ts_ip *ip)
{
	bool v4 = ts_ip_is_v4(ip);
	int fd = socket(v4 ? AF_INET : AF_INET6,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	fd = ts_sock_keep(host, fd);
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_int(fd, SOL_SOCKET, SO_SNDBUF, HOST_SOCKET_BUFFER_BYTES);
	set_int(fd, SOL_SOCKET, SO_RCVBUF, HOST_SOCKET_BUFFER_BYTES);
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	/* The tunnel has no urgent data: the byte at least is not lost. Between
	 * two programs of ours it stays urgent (app_relay.c). */
	set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	if (v4)
		set_int(fd, IPPROTO_IP, IP_TTL, 255);
	else
		set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 255);
	return fd;
}

void ts_sock_buffer(int fd, int name, int bytes)
{
	if (fd >= 0)
		set_int(fd, SOL_SOCKET, name, bytes / 2);
}

int ts_sock_reuse_port(int fd)
{
	int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ?
		       -errno :
		       0;
}

int ts_sock_bind(int fd, const struct ts_addr *addr)
{
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(addr, ts_addr_family(addr), &ss);

	if (len < 0)
		return len;
	return bind(fd, (struct sockaddr *)&ss, (socklen_t)len) ? -errno : 0;
}

int ts_sock_connect(int fd, const struct ts_addr *addr)
{
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(addr, ts_addr_family(addr), &ss);

	if (len < 0)
		return len;
	if (connect(fd, (struct sockaddr *)&ss, (socklen_t)len) == 0)
		return 0;
	return errno == EINPROGRESS ? 0 : -errno;
}

int ts_sock_state(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return -errno;
	return info.tcpi_state;
}

int ts_sock_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -errno;
	return -err;
}

int ts_sock_local(int fd, struct ts_addr *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len))
		return -errno;
	return ts_addr_from_sockaddr((struct sockaddr *)&ss, len, out);
}

int ts_sock_peer(int fd, struct ts_addr *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &len))
		return -errno;
	return ts_addr_from_sockaddr((struct sockaddr *)&ss, len, out);
}

void ts_sock_close(int fd)
{
	if (fd < 0)
		return;
	forget(fd);
	close(fd);
}

static void set_reset_at_close(int fd, bool on)
{
	const struct linger now = {.l_onoff = on};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void ts_sock_break_at_death(int fd)
{
	set_reset_at_close(fd, true);
}

void ts_sock_finish(int fd)
{
	if (fd < 0)
		return;
	set_reset_at_close(fd, false);
	ts_sock_close(fd);
}

void ts_sock_reset(int fd)
{
	if (fd < 0)
		return;
	set_reset_at_close(fd, true);
	ts_sock_close(fd);
}

size_t ts_sock_unread(int fd)
{
	int len = 0;

	if (fd < 0 || ioctl(fd, FIONREAD, &len) || len < 0)
		return 0;
	return (size_t)len;
}

struct ts_ip ts_sock_random_loopback(const struct ts_host *host)
{
	uint32_t low = ts_random_u32();
	uint8_t v4[4] = {127, 0, 0, 1};

	if (!host->rv.one_loopback) {
		/* 127.0.0.0/16 is where people put resolvers and such. */
		v4[1] = (uint8_t)(1 + (low >> 16) % 254);
		v4[2] = (uint8_t)(low >> 8);
		v4[3] = (uint8_t)(1 + (low & 0xff) % 254);
	}
	return ts_ip_from_v4(v4);
}

struct ts_ip ts_sock_loopback(bool v6)
{
	struct ts_ip six = {.bytes = {[15] = 1}};

	return v6 ? six : ts_ip_from_v4((const uint8_t[4]){127, 0, 0, 1});
}

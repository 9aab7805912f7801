/* SPDX-License-Identifier: BSD-3-Clause
 * self_nonsense.c - bad calls, one line a result: HOST PORT OWN, or serve PORT
 *
 * Run natively with loopback addresses and under tsrun with the tailnet's, the
 * output is the same: what the kernel says to nonsense, the library does not
 * change. Every kind of socket meets every bad pointer and length.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static struct sockaddr_in host, own;
static char *page; /* read and write; then read only; then nothing */
static volatile int storms;

enum { PAGE = 4096 };

static const char *name_of(int err)
{
	return err ? strerrorname_np(err) : "0";
}

#define SAY(ret, ...)                                                          \
	do {                                                                   \
		long ret_ = (long)(ret);                                       \
		int err_ = ret_ < 0 ? errno : 0;                               \
		printf(__VA_ARGS__);                                           \
		printf(": %s %s\n", ret_ < 0 ? "-1" : "ok", name_of(err_));    \
	} while (0)

/* -- sockets -------------------------------------------------------------- */

static int tcp(int family)
{
	return socket(family, SOCK_STREAM, 0);
}

static int connected(void)
{
	int fd = tcp(AF_INET);

	if (connect(fd, (struct sockaddr *)&host, sizeof(host)) != 0) {
		perror("connect");
		exit(2);
	}
	return fd;
}

static int bound(void)
{
	int fd = tcp(AF_INET);

	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) != 0) {
		perror("bind");
		exit(2);
	}
	return fd;
}

static int listening(void)
{
	int fd = bound();

	if (listen(fd, 8) != 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
		perror("listen");
		exit(2);
	}
	return fd;
}

static int half_closed(void)
{
	int fd = connected();

	shutdown(fd, SHUT_WR);
	return fd;
}

static int closed_number(void)
{
	int fd = tcp(AF_INET);

	close(fd);
	return fd;
}

static int file(void)
{
	return open("/proc/self/exe", O_RDONLY);
}

static int pipe_end(void)
{
	int fds[2];

	if (pipe(fds) != 0)
		exit(2);
	close(fds[1]);
	return fds[0];
}

static int negative(void)
{
	return -1;
}

static int tcp4(void)
{
	return tcp(AF_INET);
}

static int tcp6(void)
{
	return tcp(AF_INET6);
}

static int unix_stream(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

static int path_only(void)
{
	return open("/", O_PATH);
}

static const struct {
	const char *name;
	int (*make)(void);
} kinds[] = {
	{"-1", negative},	{"closed", closed_number},
	{"file", file},		{"pipe", pipe_end},
	{"path", path_only},	{"unix", unix_stream},
	{"netlink", netlink},	{"tcp4", tcp4},
	{"tcp6", tcp6},		{"bound", bound},
	{"listening", listening}, {"connected", connected},
	{"half", half_closed},
};

/* -- memory --------------------------------------------------------------- */

enum { NULL_POINTER, ONE, MINUS_ONE, NOTHING, READ_ONLY, CROSSING, GOOD,
       POINTERS };
static const char *const pointer_names[POINTERS] = {
	"NULL", "1", "-1", "nothing", "read-only", "crossing", "good"};

static void *pointer(int which, const void *content, size_t len)
{
	char *at = page;

	switch (which) {
	case NULL_POINTER:
		return NULL;
	case ONE:
		return (void *)1;
	case MINUS_ONE:
		return (void *)-1;
	case NOTHING:
		return page + 2 * PAGE;
	case READ_ONLY:
		at = page + PAGE;
		mprotect(at, PAGE, PROT_READ | PROT_WRITE);
		memcpy(at, content, len);
		mprotect(at, PAGE, PROT_READ);
		return at;
	case CROSSING: /* its last bytes are not there */
		at = page + 4 * PAGE - 8;
		memcpy(at, content, len < 8 ? len : 8);
		return at;
	default:
		memset(at, 0, 256);
		memcpy(at, content, len);
		return at;
	}
}

static const socklen_t lengths[] = {0, 1, 2, 4, 8, 15, 16, 17, 24, 28, 128,
				    129, 4096, 0x7fffffff, 0x80000000u,
				    0xffffffffu};

static void make_page(void)
{
	page = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(page + PAGE, PAGE, PROT_READ);
	munmap(page + 2 * PAGE, PAGE);
	munmap(page + 4 * PAGE, PAGE);
}

/* -- addresses in --------------------------------------------------------- */

typedef int (*address_fn)(int, const struct sockaddr *, socklen_t);

static int call_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return connect(fd, addr, len);
}

static int call_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return bind(fd, addr, len);
}

static int call_sendto(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)sendto(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, addr, len);
}

static int call_fastopen(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)sendto(fd, NULL, 0, MSG_NOSIGNAL | MSG_FASTOPEN, addr, len);
}

static int call_sendmsg(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct iovec iov = {"x", 1};
	struct msghdr msg = {.msg_name = (void *)addr, .msg_namelen = len,
			     .msg_iov = &iov, .msg_iovlen = 1};

	return (int)sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static const struct {
	const char *name;
	address_fn call;
} takers[] = {
	{"connect", call_connect},   {"bind", call_bind},
	{"sendto", call_sendto},     {"fastopen", call_fastopen},
	{"sendmsg", call_sendmsg},
};

/* A connect that would be under way is of no interest here. */
static bool is_sensible(size_t taker, int which, socklen_t len)
{
	return takers[taker].call != call_bind &&
	       (which == GOOD || which == READ_ONLY) && len >= 16 &&
	       len <= 128;
}

static void give_addresses(void)
{
	for (size_t t = 0; t < COUNT(takers); t++)
		for (size_t k = 0; k < COUNT(kinds); k++)
			for (int p = 0; p < POINTERS; p++)
				for (size_t l = 0; l < COUNT(lengths); l++) {
					const void *from =
						takers[t].call == call_bind
							? &own : &host;
					void *at = pointer(p, from, 16);
					int fd;

					if (is_sensible(t, p, lengths[l]))
						continue;
					fd = kinds[k].make();
					SAY(takers[t].call(fd, at, lengths[l]),
					    "%s %s %s %u", takers[t].name,
					    kinds[k].name, pointer_names[p],
					    lengths[l]);
					close(fd);
				}
}

static void give_families(void)
{
	static const int families[] = {AF_UNSPEC, AF_UNIX, AF_INET6, AF_PACKET,
				       9999};

	for (size_t t = 0; t < COUNT(takers); t++)
		for (size_t k = 0; k < COUNT(kinds); k++)
			for (size_t f = 0; f < COUNT(families); f++) {
				struct sockaddr_in6 addr = {
					.sin6_family =
						(sa_family_t)families[f]};
				int fd = kinds[k].make();

				if (families[f] == AF_UNSPEC &&
				    takers[t].call == call_bind)
					addr.sin6_port = 0;
				SAY(takers[t].call(fd, (void *)&addr, 28),
				    "%s %s family %d", takers[t].name,
				    kinds[k].name, families[f]);
				close(fd);
			}
}

/* -- addresses out -------------------------------------------------------- */

typedef int (*name_fn)(int, struct sockaddr *, socklen_t *);

static int call_accept4(int fd, struct sockaddr *addr, socklen_t *len)
{
	return accept4(fd, addr, len, SOCK_CLOEXEC);
}

static int call_accept4_bad(int fd, struct sockaddr *addr, socklen_t *len)
{
	return accept4(fd, addr, len, 0x12345);
}

static int call_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return getsockname(fd, addr, len);
}

static int call_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return getpeername(fd, addr, len);
}

static int call_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return accept(fd, addr, len);
}

static const struct {
	const char *name;
	name_fn call;
} tellers[] = {
	{"getsockname", call_getsockname}, {"getpeername", call_getpeername},
	{"accept", call_accept},	   {"accept4", call_accept4},
	{"accept4 flags", call_accept4_bad},
};

static void ask_name(size_t t, size_t k, int p, socklen_t len)
{
	int fd = kinds[k].make();
	struct sockaddr *at = pointer(p, "", 1);
	socklen_t room = len;
	int ret = tellers[t].call(fd, at, &room);

	SAY(ret, "%s %s %s %u -> %u", tellers[t].name, kinds[k].name,
	    pointer_names[p], len, room);
	close(fd);
}

static void ask_names(void)
{
	for (size_t t = 0; t < COUNT(tellers); t++)
		for (size_t k = 0; k < COUNT(kinds); k++) {
			for (int p = 0; p < POINTERS; p++)
				for (size_t l = 0; l < COUNT(lengths); l++)
					ask_name(t, k, p, lengths[l]);
			for (int p = 0; p < GOOD; p++) {
				int fd = kinds[k].make();
				char room[128];
				socklen_t len = 16;

				SAY(tellers[t].call(fd, (void *)room,
						    pointer(p, &len, 4)),
				    "%s %s len %s", tellers[t].name,
				    kinds[k].name, pointer_names[p]);
				close(fd);
			}
		}
}

/* A connection that waits is lost with a bad pointer, and only that one. */
static void accept_badly(void)
{
	for (int p = 0; p < POINTERS; p++) {
		struct sockaddr_in at;
		socklen_t room = sizeof(at), len = sizeof(at);
		int fd = listening(), client = tcp(AF_INET), got;
		struct pollfd readable = {.fd = fd, .events = POLLIN};

		getsockname(fd, (struct sockaddr *)&at, &len);
		fcntl(client, F_SETFL, O_NONBLOCK);
		connect(client, (struct sockaddr *)&at, len);
		poll(&readable, 1, 5000);
		got = accept(fd, pointer(p, "", 1), &room);
		SAY(got, "accept pending %s", pointer_names[p]);
		close(got);
		SAY(accept(fd, NULL, NULL), "accept after %s",
		    pointer_names[p]);
		close(client);
		close(fd);
	}
}

/* -- options -------------------------------------------------------------- */

static const struct {
	const char *name;
	int level, option;
	socklen_t len;
} options[] = {
	{"SO_ERROR", SOL_SOCKET, SO_ERROR, 4},
	{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 4},
	{"SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN, 4},
	{"SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, 16},
	{"SO_BINDTOIFINDEX", SOL_SOCKET, 62, 4},
	{"TCP_INFO", IPPROTO_TCP, TCP_INFO, 104},
	{"TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, 4},
	{"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 4},
	{"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 4},
	{"TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION, 16},
	{"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 4},
	{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 4},
	{"IP_TOS", IPPROTO_IP, IP_TOS, 4},
	{"IP_OPTIONS", IPPROTO_IP, IP_OPTIONS, 40},
	{"IP_MTU", IPPROTO_IP, 14, 4},
	{"IPV6_TCLASS", IPPROTO_IPV6, IPV6_TCLASS, 4},
	{"IPV6_MTU", IPPROTO_IPV6, 24, 4},
	{"none", 12345, 1, 4},
	{"none TCP", IPPROTO_TCP, 9999, 4},
};

static void get_option(size_t o, size_t k, int p, socklen_t len)
{
	int fd = kinds[k].make();
	void *at = pointer(p, "", 1);
	socklen_t room = len;
	int ret = getsockopt(fd, options[o].level, options[o].option, at,
			     &room);

	/* How much of TCP_INFO there is, is the kernel's business. */
	SAY(ret, "getsockopt %s %s %s %u -> %u", options[o].name,
	    kinds[k].name, pointer_names[p], len, room);
	close(fd);
}

static void set_option(size_t o, size_t k, int p, socklen_t len)
{
	static const char zeros[64];
	int fd = kinds[k].make();
	void *at = pointer(p, zeros, sizeof(zeros));

	SAY(setsockopt(fd, options[o].level, options[o].option, at, len),
	    "setsockopt %s %s %s %u", options[o].name, kinds[k].name,
	    pointer_names[p], len);
	close(fd);
}

static void try_options(void)
{
	for (size_t o = 0; o < COUNT(options); o++)
		for (size_t k = 0; k < COUNT(kinds); k++) {
			for (int p = 0; p < POINTERS; p++) {
				get_option(o, k, p, options[o].len);
				set_option(o, k, p, options[o].len);
			}
			for (size_t l = 0; l < COUNT(lengths); l++) {
				get_option(o, k, GOOD, lengths[l]);
				set_option(o, k, GOOD, lengths[l]);
				get_option(o, k, CROSSING, lengths[l]);
			}
			for (int p = 0; p < GOOD; p++) {
				int fd = kinds[k].make();
				socklen_t len = options[o].len;
				char room[256];

				SAY(getsockopt(fd, options[o].level,
					       options[o].option, room,
					       pointer(p, &len, 4)),
				    "getsockopt %s %s len %s", options[o].name,
				    kinds[k].name, pointer_names[p]);
				close(fd);
			}
		}
}

/* -- the rest ------------------------------------------------------------- */

static void try_messages(void)
{
	struct iovec iov = {"x", 1};
	struct msghdr msg = {.msg_name = &host, .msg_namelen = 16,
			     .msg_iov = &iov, .msg_iovlen = 1};

	for (size_t k = 0; k < COUNT(kinds); k++)
		for (int p = 0; p < GOOD; p++) {
			int fd = kinds[k].make();
			void *at = pointer(p, &msg, sizeof(msg));

			if (p != READ_ONLY) {
				SAY(sendmsg(fd, at, MSG_NOSIGNAL),
				    "sendmsg %s msg %s", kinds[k].name,
				    pointer_names[p]);
				SAY(sendmmsg(fd, at, 1, MSG_NOSIGNAL),
				    "sendmmsg %s msgs %s", kinds[k].name,
				    pointer_names[p]);
			}
			close(fd);
		}
}

static void try_ioctls(void)
{
	static const unsigned long requests[] = {
		SIOCGIFCONF,  SIOCGIFADDR,   SIOCGIFFLAGS, SIOCGIFNAME,
		SIOCGIFINDEX, SIOCGIFHWADDR, SIOCGIFMTU,   FIONREAD,
		TIOCOUTQ,     0x8999,	     0,
	};

	for (size_t r = 0; r < COUNT(requests); r++)
		for (size_t k = 0; k < COUNT(kinds); k++)
			for (int p = 0; p < POINTERS; p++) {
				struct ifreq ifr = {.ifr_name = "nosuch0"};
				int fd = kinds[k].make();
				void *at = pointer(p, &ifr, sizeof(ifr));

				/* its buffer is no better */
				if (requests[r] == SIOCGIFCONF &&
				    p >= READ_ONLY)
					memset(page, 1, 64);
				SAY(ioctl(fd, requests[r], at),
				    "ioctl %lx %s %s", requests[r],
				    kinds[k].name, pointer_names[p]);
				close(fd);
			}
}

static void try_small_things(void)
{
	static const int backlogs[] = {-1, 0, 1, 0x7fffffff};

	for (size_t k = 0; k < COUNT(kinds); k++) {
		for (size_t b = 0; b < COUNT(backlogs); b++) {
			int fd = kinds[k].make();

			if (strcmp(kinds[k].name, "tcp4") != 0 &&
			    strcmp(kinds[k].name, "tcp6") != 0)
				SAY(listen(fd, backlogs[b]), "listen %s %d",
				    kinds[k].name, backlogs[b]);
			close(fd);
		}
		for (int how = -1; how < 4; how++) {
			int fd = kinds[k].make();

			SAY(shutdown(fd, how), "shutdown %s %d",
			    kinds[k].name, how);
			close(fd);
		}
	}
	SAY(socket(AF_INET, 99, 0), "socket type");
	SAY(socket(AF_INET, SOCK_STREAM, 9999), "socket protocol");
	SAY(socket(9999, SOCK_STREAM, 0), "socket family");
}

/* -- a storm of signals --------------------------------------------------- */

static void on_alarm(int sig)
{
	(void)sig;
	storms++;
}

static bool echoes(int fd)
{
	char byte = 0;

	while (recv(fd, &byte, 1, 0) < 0)
		if (errno != EINTR)
			return false;
	return true;
}

static void try_storm(bool restarts)
{
	struct sigaction action = {.sa_handler = on_alarm,
				   .sa_flags = restarts ? SA_RESTART : 0};
	const struct itimerval each = {{0, 300}, {0, 300}}, never = {{0}};
	int good = 0;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &each, NULL);
	for (int i = 0; i < 50; i++) {
		int fd = tcp(AF_INET), err = 0;
		socklen_t len = sizeof(err);
		struct pollfd done = {.fd = fd, .events = POLLOUT};

		if (connect(fd, (struct sockaddr *)&host, sizeof(host)) != 0) {
			err = errno;
			while (err == EINTR && poll(&done, 1, -1) != 1)
				;
			if (err == EINTR)
				getsockopt(fd, SOL_SOCKET, SO_ERROR, &err,
					   &len);
		}
		good += err == 0 && echoes(fd);
		close(fd);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	printf("storm %d: %d good\n", restarts, good);
	fprintf(stderr, "signals: %d\n", storms);
}

/* Greets whoever comes with a byte; forgets who came long before. */
static int serve(int port)
{
	int ring[64], at = 0, on = 1, fd = tcp(AF_INET);
	struct sockaddr_in any = {.sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port)};

	memset(ring, -1, sizeof(ring));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0 ||
	    listen(fd, 128) != 0)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	for (;; at = (at + 1) % (int)COUNT(ring)) {
		close(ring[at]);
		ring[at] = accept(fd, NULL, NULL);
		if (ring[at] >= 0 && write(ring[at], "x", 1) != 1)
			continue;
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(atoi(argv[2]));
	if (argc != 4)
		return 2;
	host.sin_family = own.sin_family = AF_INET;
	inet_pton(AF_INET, argv[1], &host.sin_addr);
	host.sin_port = htons((uint16_t)atoi(argv[2]));
	inet_pton(AF_INET, argv[3], &own.sin_addr);
	make_page();
	give_addresses();
	give_families();
	ask_names();
	accept_badly();
	try_options();
	try_messages();
	try_ioctls();
	try_small_things();
	try_storm(false);
	try_storm(true);
	return 0;
}

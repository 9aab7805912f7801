/* SPDX-License-Identifier: BSD-3-Clause
 * datagrams.c - how many datagrams arrive
 *
 *	datagrams serve PORT
 *	datagrams send HOST PORT SIZE PER-SECOND SECONDS
 *
 * PER-SECOND 0 sends as fast as the socket takes them. Each datagram carries
 * its run's number; the receiver counts those of the latest run, and says over
 * TCP, at the same port, how many came and over how long. With SOCKS5 in the
 * environment they go through that proxy's relay for datagrams.
 */
#include "net.h"
#include "socks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
	SIZE_MAX_BYTES = 9000,
	BATCH = 64,
	RECEIVE_BUFFER_BYTES = 4 << 20,
	LAST_ARRIVES_MS = 300,
};

struct count {
	uint64_t run;
	uint64_t received;
	uint64_t first_ns, last_ns;
};

static struct count count;
static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;

static void count_one(uint64_t run, uint64_t now)
{
	if (run != count.run)
		count = (struct count){.run = run, .first_ns = now};
	count.received++;
	count.last_ns = now;
}

static void *receive(void *arg)
{
	static uint64_t run[BATCH];
	static char rest[SIZE_MAX_BYTES];
	struct iovec part[BATCH][2];
	struct mmsghdr batch[BATCH] = {0};
	int fd = *(int *)arg;

	for (int i = 0; i < BATCH; i++) {
		part[i][0] = (struct iovec){&run[i], sizeof(run[i])};
		part[i][1] = (struct iovec){rest, sizeof(rest)};
		batch[i].msg_hdr.msg_iov = part[i];
		batch[i].msg_hdr.msg_iovlen = 2;
	}
	for (;;) {
		int n = recvmmsg(fd, batch, BATCH, MSG_WAITFORONE, NULL);
		uint64_t now = now_ns();

		pthread_mutex_lock(&count_lock);
		for (int i = 0; i < n; i++)
			if (batch[i].msg_len >= sizeof(run[i]))
				count_one(run[i], now);
		pthread_mutex_unlock(&count_lock);
	}
	return NULL;
}

static void tell_count(int fd)
{
	uint64_t run, answer[2] = {0};

	if (read_all(fd, &run, sizeof(run)) < 0)
		return;
	pthread_mutex_lock(&count_lock);
	if (run == count.run) {
		answer[0] = count.received;
		answer[1] = count.last_ns - count.first_ns;
	}
	pthread_mutex_unlock(&count_lock);
	write_all(fd, answer, sizeof(answer));
}

static int serve(const char *port)
{
	struct sockaddr_in any = {.sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(port))};
	static int fd;
	int room = RECEIVE_BUFFER_BYTES;
	pthread_t thread;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0) {
		perror("bind");
		return 1;
	}
	pthread_create(&thread, NULL, receive, &fd);
	accept_forever(listen_on(port), tell_count);
	return 0;
}

/* What a datagram begins with before the run's number: a proxy's header. */
struct outlet {
	int fd;
	uint8_t header[SOCKS_DATAGRAM_HEADER_LEN];
	size_t header_len;
};

static int open_outlet(struct outlet *out, const char *host, const char *port)
{
	struct timeval limit = {.tv_sec = GIVE_UP_SECONDS};
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(port))};

	inet_pton(AF_INET, host, &to.sin_addr);
	if (getenv("SOCKS5")) {
		int control = dial_proxy(); /* open as long as we run */

		if (control < 0 || socks_associate(control, host, port, &to,
						   out->header) < 0)
			return -1;
		out->header_len = SOCKS_DATAGRAM_HEADER_LEN;
	}
	out->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(out->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return connect(out->fd, (struct sockaddr *)&to, sizeof(to));
}

static void wait_until_ns(uint64_t at)
{
	struct timespec ts = {.tv_sec = (time_t)(at / 1000000000u),
			      .tv_nsec = (long)(at % 1000000000u)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* Sends until the time is up; datagrams sent, or -1. */
static int64_t send_for(struct outlet *out, uint64_t run, size_t size,
			double per_second, uint64_t until)
{
	static uint8_t datagram[SOCKS_DATAGRAM_HEADER_LEN + SIZE_MAX_BYTES];
	uint64_t start = now_ns(), now = start;
	int64_t sent = 0;

	memcpy(datagram, out->header, out->header_len);
	memcpy(datagram + out->header_len, &run, sizeof(run));
	while (now < until) {
		if (send(out->fd, datagram, out->header_len + size, 0) < 0) {
			/* Full is what unpaced is about. */
			if (errno != ENOBUFS && errno != EAGAIN)
				return -1;
		} else {
			sent++;
		}
		now = now_ns();
		if (per_second > 0) {
			uint64_t next = start + (uint64_t)((double)sent * 1e9 /
							   per_second);

			/* Timers are coarse: several at a time. */
			if (next > now + 200000)
				wait_until_ns(next);
			now = now_ns();
		}
	}
	return sent;
}

static int ask_count(const char *host, const char *port, uint64_t run,
		     uint64_t answer[2])
{
	struct timespec pause = {.tv_nsec = LAST_ARRIVES_MS * 1000000L};
	int fd;

	nanosleep(&pause, NULL);
	fd = dial(host, port);
	if (fd < 0 || write_all(fd, &run, sizeof(run)) < 0 ||
	    read_all(fd, answer, 16) < 0)
		return -1;
	return close(fd);
}

static int send_all(char **argv)
{
	uint64_t start, took, run = now_ns();
	double seconds = atof(argv[6]), span;
	uint64_t answer[2];
	struct outlet out = {0};
	int64_t sent;

	if (open_outlet(&out, argv[2], argv[3]) < 0) {
		perror("connect");
		return 1;
	}
	start = now_ns();
	sent = send_for(&out, run, (size_t)atoi(argv[4]), atof(argv[5]),
			start + (uint64_t)(seconds * 1e9));
	took = now_ns() - start;
	if (sent <= 0 || ask_count(argv[2], argv[3], run, answer) < 0) {
		perror("send");
		return 1;
	}
	/* What comes late came late: the longer of the two times counts. */
	span = (double)(answer[1] > took ? answer[1] : took) / 1e9;
	printf("{\"sent\": %lld, \"received\": %llu, \"seconds\": %.3f, "
	       "\"sent_per_second\": %.0f, \"received_per_second\": %.0f, "
	       "\"loss_percent\": %.3f}\n",
	       (long long)sent, (unsigned long long)answer[0],
	       (double)took / 1e9, (double)sent * 1e9 / (double)took,
	       (double)answer[0] / span,
	       100.0 * ((double)sent - (double)answer[0]) / (double)sent);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc == 7 && !strcmp(argv[1], "send") && atoi(argv[4]) >= 8 &&
	    atoi(argv[4]) <= SIZE_MAX_BYTES)
		return send_all(argv);
	fprintf(stderr, "usage: datagrams serve PORT | "
			"send HOST PORT SIZE PER-SECOND SECONDS\n");
	return 64;
}

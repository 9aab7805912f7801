/* SPDX-License-Identifier: BSD-3-Clause
 * impair.c - a wire that delays, loses and reorders
 *
 *	impair INTERFACE INTERFACE SEED
 *
 * Carries Ethernet frames between two interfaces with packet sockets, for
 * kernels that have no netem. Each line on standard input sets how:
 *
 *	DELAY-MS JITTER-MS LOSS-% REORDER-%
 *
 * for each direction alone: a round trip takes twice the delay. JITTER is
 * added evenly at random and reorders too; a frame that is reordered skips the
 * delay. "0 0 0 0" hands frames on at once. Every line is answered by one of
 * JSON with what happened since the line before. The end of input ends it.
 *
 * SEED makes the same choices again for the same sequence of frames. Only IP
 * is lost: a lost ARP answer would be a test of the kernel's patience. The far
 * ends must have checksum and segmentation offload off, or frames arrive here
 * unfinished. What comes while the queue is full, or the socket's buffer, is
 * counted apart: that loss nobody asked for.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	FRAME_MAX_BYTES = 2048,
	QUEUE_MAX = 64 * 1024,
	BATCH = 64,
	BUFFER_BYTES = 32 << 20,
};

struct weather {
	uint64_t delay_ns, jitter_ns;
	double loss, reorder;
};

struct frame {
	uint64_t due_ns, number;
	size_t len;
	uint8_t bytes[FRAME_MAX_BYTES];
};

/* One direction: a heap of frames, the earliest due first, and the frames
 * that are free, last used first.
 */
struct lane {
	int in, out;
	uint64_t random, next_number;
	struct frame *heap[QUEUE_MAX];
	size_t queued;
	struct frame *free[QUEUE_MAX];
	size_t free_count;
	uint64_t carried, lost, full, too_long;
};

static struct weather weather;
static struct lane lanes[2];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* xorshift64*: even, repeatable, in [0, 1). */
static double draw(struct lane *lane)
{
	lane->random ^= lane->random >> 12;
	lane->random ^= lane->random << 25;
	lane->random ^= lane->random >> 27;
	return (double)((lane->random * 0x2545f4914f6cdd1du) >> 11) * 0x1p-53;
}

static int is_later(const struct frame *a, const struct frame *b)
{
	return a->due_ns != b->due_ns ? a->due_ns > b->due_ns
				      : a->number > b->number;
}

static void push(struct lane *lane, struct frame *frame)
{
	size_t at = lane->queued++;

	while (at > 0 && is_later(lane->heap[(at - 1) / 2], frame)) {
		lane->heap[at] = lane->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	lane->heap[at] = frame;
}

static struct frame *pop(struct lane *lane)
{
	struct frame *first = lane->heap[0];
	struct frame *last = lane->heap[--lane->queued];
	size_t at = 0, child;

	while ((child = 2 * at + 1) < lane->queued) {
		if (child + 1 < lane->queued &&
		    is_later(lane->heap[child], lane->heap[child + 1]))
			child++;
		if (!is_later(last, lane->heap[child]))
			break;
		lane->heap[at] = lane->heap[child];
		at = child;
	}
	lane->heap[at] = last;
	return first;
}

static int is_ip(const struct frame *frame)
{
	uint16_t type = (uint16_t)(frame->bytes[12] << 8 | frame->bytes[13]);

	return type == ETHERTYPE_IP || type == ETHERTYPE_IPV6;
}

/* Decides a frame's fate; returns 0 when that is to be lost. */
static int schedule(struct lane *lane, struct frame *frame, uint64_t now)
{
	frame->due_ns = now;
	frame->number = lane->next_number++;
	if (!is_ip(frame))
		return 1;
	if (weather.loss > 0 && draw(lane) < weather.loss) {
		lane->lost++;
		return 0;
	}
	if (weather.reorder > 0 && draw(lane) < weather.reorder)
		return 1;
	frame->due_ns += weather.delay_ns;
	if (weather.jitter_ns)
		frame->due_ns +=
			(uint64_t)(draw(lane) * (double)weather.jitter_ns);
	return 1;
}

/* Takes what has arrived into the queue; frames taken. */
static int receive(struct lane *lane, uint64_t now)
{
	struct iovec part[BATCH];
	struct mmsghdr batch[BATCH] = {0};
	struct frame *frame[BATCH];
	int room = lane->free_count < BATCH ? (int)lane->free_count : BATCH;
	int n;

	for (int i = 0; i < room; i++) {
		frame[i] = lane->free[lane->free_count - 1 - (size_t)i];
		part[i] = (struct iovec){frame[i]->bytes, FRAME_MAX_BYTES};
		batch[i].msg_hdr.msg_iov = &part[i];
		batch[i].msg_hdr.msg_iovlen = 1;
	}
	n = room ? recvmmsg(lane->in, batch, (unsigned int)room,
			    MSG_DONTWAIT | MSG_TRUNC, NULL)
		 : 0;
	if (n <= 0)
		return 0;
	lane->free_count -= (size_t)n;
	for (int i = 0; i < n; i++) {
		frame[i]->len = batch[i].msg_len;
		if (frame[i]->len > FRAME_MAX_BYTES)
			lane->too_long++;
		else if (schedule(lane, frame[i], now)) {
			push(lane, frame[i]);
			continue;
		}
		lane->free[lane->free_count++] = frame[i];
	}
	return n;
}

/* While the queue is full, what comes is gone. */
static void discard(struct lane *lane)
{
	uint8_t byte;

	while (!lane->free_count &&
	       recv(lane->in, &byte, 1, MSG_DONTWAIT) >= 0)
		lane->full++;
}

static void send_batch(struct lane *lane, struct frame **frame, size_t count)
{
	struct iovec part[BATCH];
	struct mmsghdr batch[BATCH] = {0};
	size_t sent = 0;

	for (size_t i = 0; i < count; i++) {
		part[i] = (struct iovec){frame[i]->bytes, frame[i]->len};
		batch[i].msg_hdr.msg_iov = &part[i];
		batch[i].msg_hdr.msg_iovlen = 1;
	}
	while (sent < count) {
		int n = sendmmsg(lane->out, batch + sent,
				 (unsigned int)(count - sent), 0);

		if (n > 0) {
			sent += (size_t)n;
			lane->carried += (uint64_t)n;
		} else if (errno != EINTR) {
			lane->full++; /* the far interface has no room */
			sent++;
		}
	}
	for (size_t i = 0; i < count; i++)
		lane->free[lane->free_count++] = frame[i];
}

static void send_due(struct lane *lane, uint64_t now)
{
	struct frame *due[BATCH];
	size_t count = 0;

	while (lane->queued > 0 && lane->heap[0]->due_ns <= now) {
		due[count++] = pop(lane);
		if (count == BATCH) {
			send_batch(lane, due, count);
			count = 0;
		}
	}
	send_batch(lane, due, count);
}

static int open_interface(const char *name)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = (int)if_nametoindex(name)};
	int room = BUFFER_BYTES, on = 1;

	if (fd < 0 || !at.sll_ifindex)
		fail(name);
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fail(name);
	return fd;
}

static void open_lane(struct lane *lane, int in, int out, uint64_t seed)
{
	/* Pages come with their first frame. */
	struct frame *frames = mmap(NULL, QUEUE_MAX * sizeof(*frames),
				    PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				    -1, 0);

	if (frames == MAP_FAILED)
		fail("mmap");
	lane->in = in;
	lane->out = out;
	lane->random = seed * 0x9e3779b97f4a7c15u + 1;
	while (lane->free_count < QUEUE_MAX) {
		lane->free[lane->free_count] =
			&frames[QUEUE_MAX - 1 - lane->free_count];
		lane->free_count++;
	}
}

/* Frames that the kernel dropped since the last question. */
static unsigned int overruns(int fd)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);

	getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len);
	return stats.tp_drops;
}

static void tell(void)
{
	uint64_t carried = 0, lost = 0, unwanted = 0, too_long = 0;

	for (int i = 0; i < 2; i++) {
		struct lane *lane = &lanes[i];

		carried += lane->carried;
		lost += lane->lost;
		unwanted += lane->full + overruns(lane->in);
		too_long += lane->too_long;
		lane->carried = lane->lost = lane->full = lane->too_long = 0;
	}
	printf("{\"carried\": %llu, \"lost\": %llu, \"unwanted\": %llu, "
	       "\"too_long\": %llu}\n",
	       (unsigned long long)carried, (unsigned long long)lost,
	       (unsigned long long)unwanted, (unsigned long long)too_long);
	fflush(stdout);
}

static void take_line(void)
{
	double delay, jitter, loss, reorder;
	char line[128];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0)
		exit(0);
	line[n] = '\0';
	if (sscanf(line, "%lf %lf %lf %lf", &delay, &jitter, &loss,
		   &reorder) != 4) {
		printf("{\"error\": \"four numbers are wanted\"}\n");
		fflush(stdout);
		return;
	}
	weather = (struct weather){.delay_ns = (uint64_t)(delay * 1e6),
				   .jitter_ns = (uint64_t)(jitter * 1e6),
				   .loss = loss / 100,
				   .reorder = reorder / 100};
	tell();
}

/* Nanoseconds to the first frame that is due, for ppoll. */
static struct timespec *time_left(struct timespec *ts)
{
	uint64_t first = UINT64_MAX, now = now_ns();

	for (int i = 0; i < 2; i++)
		if (lanes[i].queued && lanes[i].heap[0]->due_ns < first)
			first = lanes[i].heap[0]->due_ns;
	if (first == UINT64_MAX)
		return NULL;
	first = first > now ? first - now : 0;
	ts->tv_sec = (time_t)(first / 1000000000u);
	ts->tv_nsec = (long)(first % 1000000000u);
	return ts;
}

static void carry(void)
{
	struct pollfd wait[3] = {{lanes[0].in, POLLIN, 0},
				 {lanes[1].in, POLLIN, 0},
				 {STDIN_FILENO, POLLIN, 0}};
	struct timespec ts;

	ppoll(wait, 3, time_left(&ts), NULL);
	for (int i = 0; i < 2; i++) {
		if (wait[i].revents) {
			receive(&lanes[i], now_ns());
			discard(&lanes[i]);
		}
		send_due(&lanes[i], now_ns());
	}
	if (wait[2].revents)
		take_line();
}

int main(int argc, char **argv)
{
	uint64_t seed = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
	int a, b;

	if (argc != 4) {
		fprintf(stderr, "usage: impair INTERFACE INTERFACE SEED\n");
		return 64;
	}
	a = open_interface(argv[1]);
	b = open_interface(argv[2]);
	open_lane(&lanes[0], a, b, 2 * seed + 1);
	open_lane(&lanes[1], b, a, 2 * seed + 2);
	tell();
	for (;;)
		carry();
}

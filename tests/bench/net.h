/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_NET_H
#define BENCH_NET_H
/* What the measuring programs share: sockets that give up, and a clock. They
 * are ordinary programs: nothing here knows of a tailnet. With SOCKS5=HOST:PORT
 * in the environment they dial through that proxy (socks.h).
 */
#include <stddef.h>
#include <stdint.h>

enum { GIVE_UP_SECONDS = 6 };

uint64_t now_ns(void);

/* A listener on every address; ends the program when there is none. Prints
 * {"serving": PORT} so that the caller knows when to begin.
 */
int listen_on(const char *port);

/* A connected socket whose calls fail after GIVE_UP_SECONDS, or -1 and errno.
 */
int dial(const char *host, const char *port);

/* A connected socket to what SOCKS5 names, or -1. */
int dial_proxy(void);

/* Names the kernel's congestion control for one socket; "" leaves it. -1 and
 * errno when the kernel does not have it.
 */
int set_congestion_control(int fd, const char *name);

/* All of it, or -1. */
int write_all(int fd, const void *bytes, size_t len);
int read_all(int fd, void *bytes, size_t len);

/* serve(fd) in a thread of its own for every connection; never returns. */
void accept_forever(int listener, void (*serve)(int fd));

/* The percentile (0..100) of samples in ascending order, in microseconds. */
void sort_ns(uint64_t *samples, size_t count);
double percentile_us(const uint64_t *sorted, size_t count, double percent);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 * In a network namespace of its own, where only this test changes things. */
#include "unit/test.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/io/net_monitor.h"
#include "core/loop/loop.h"

struct bench {
	struct ts_loop *loop;
	struct ts_timer *end;
	int fd, news;
};

static void on_end(void *ctx)
{
	struct bench *b = ctx;

	ts_loop_stop(b->loop);
}

static void on_news(void *ctx)
{
	struct bench *b = ctx;

	b->news++;
}

/* Long enough for the monitor's 250 ms. */
static void let_settle(struct bench *b)
{
	ts_loop_update(b->loop);
	ts_timer_set(b->end, ts_loop_now_ms(b->loop) + 290);
	ts_loop_run(b->loop);
}

static struct ifreq lo(void)
{
	struct ifreq r;

	memset(&r, 0, sizeof(r));
	strcpy(r.ifr_name, "lo");
	return r;
}

static void set_mtu(struct bench *b, int mtu)
{
	struct ifreq r = lo();

	r.ifr_mtu = mtu;
	assert_int_equal(ioctl(b->fd, SIOCSIFMTU, &r), 0);
}

static void set_address(struct bench *b, const char *text)
{
	struct ifreq r = lo();
	struct sockaddr_in *in = (struct sockaddr_in *)&r.ifr_addr;

	strcpy(r.ifr_name, "lo:1");
	in->sin_family = AF_INET;
	inet_pton(AF_INET, text, &in->sin_addr);
	assert_int_equal(ioctl(b->fd, SIOCSIFADDR, &r), 0);
}

static int open_bench(void **state)
{
	static struct bench b;
	struct ifreq r = lo();

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return -1;
	b.loop = ts_loop_new();
	b.end = ts_timer_new(b.loop, on_end, &b);
	b.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r.ifr_flags = IFF_UP;
	*state = &b;
	return ioctl(b.fd, SIOCSIFFLAGS, &r);
}

static int close_bench(void **state)
{
	struct bench *b = *state;

	close(b->fd);
	ts_timer_free(b->end);
	ts_loop_free(b->loop);
	return 0;
}

static void only_other_addresses_are_news(void **state)
{
	struct bench *b = *state;
	struct ts_net_monitor *m = ts_net_monitor_open(b->loop, on_news, b);

	assert_non_null(m);
	set_mtu(b, 30000);
	let_settle(b);
	assert_int_equal(b->news, 0);
	set_address(b, "10.1.1.1");
	let_settle(b);
	assert_int_equal(b->news, 1);
	set_mtu(b, 40000);
	let_settle(b);
	assert_int_equal(b->news, 1);
	set_address(b, "10.1.1.2");
	set_address(b, "10.1.1.3"); /* one burst */
	let_settle(b);
	assert_int_equal(b->news, 2);
	ts_net_monitor_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_other_addresses_are_news),
	};

	return cmocka_run_group_tests(tests, open_bench, close_bench);
}

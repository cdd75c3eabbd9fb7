/*
 * Passes Ethernet frames between two interfaces, as a long path would: with a delay, a rate with a bounded queue before
 * it, and random loss. For kernels without netem.
 *
 *     forwarder DEVICE DEVICE        forwards until the end of its standard input
 *     forwarder --frames DEVICE      makes a device send what the wire would carry, and ends: see offload()
 *
 * Orders are lines of standard input, each answered by a line of standard output:
 *     set DELAY_US RATE_BIT_S QUEUE_US LOSS_PPM SEED    of each direction; forgets what is under way    → ok
 *     stats      frames and bytes passed, lost by chance, dropped by the full queue, missed by us      → five numbers
 *
 * A frame that comes at t leaves at d + DELAY, where d = max(t, d of the frame before) + its size / RATE, and is
 * dropped if d - t is more than QUEUE. Frames never overtake each other.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES 2048
/* 1000 Mbit/s of full frames for 300 ms are 25,000 */
#define FRAMES 65536
#define BATCH 64
/* ns a frame may leave late, so that many leave at once: each waking costs as much as several frames */
#define LATE 50000
#define SOCKET_BYTES (64 << 20)

struct frame {
  uint8_t *bytes;
  uint64_t leaves; /* ns */
  uint32_t length;
};

struct direction {
  int in, out;
  struct frame *frames; /* a ring */
  uint64_t head, tail;  /* head: the next to leave; tail: the next that comes */
  uint64_t free_at;    /* ns: when the line has sent all that it took */
  uint64_t passed, passed_bytes, lost, dropped, missed;
};

static uint64_t delay_ns, rate_bits = 1000000000, queue_ns = 20000000, loss_ppm, chance = 88172645463325252ULL;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* xorshift64* */
static uint64_t random_bits(void) {
  chance ^= chance >> 12;
  chance ^= chance << 25;
  chance ^= chance >> 27;
  return chance * 2685821657736338717ULL;
}

static void device_feature(int fd, const char *device, uint32_t command) {
  struct ethtool_value value = {.cmd = command, .data = 0};
  struct ifreq request = {0};
  strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  request.ifr_data = (char *)&value;
  if (ioctl(fd, SIOCETHTOOL, &request) < 0 && errno != EOPNOTSUPP) die("SIOCETHTOOL");
}

/* Frames of at most the MTU, with their checksums: a packet socket would get bundles of 64 KiB, and passes on as they
 * are what the other side then takes for broken. */
static void offload(const char *device) {
  static const uint32_t commands[] = {ETHTOOL_SGSO, ETHTOOL_STSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) die("socket");
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) device_feature(fd, device, commands[i]);
  close(fd);
}

static int open_device(const char *device) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
  int one = 1, size = SOCKET_BYTES;
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
  if (fd < 0) die("packet socket");
  address.sll_ifindex = if_nametoindex(device);
  if (address.sll_ifindex == 0) die(device);
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0) die("PACKET_IGNORE_OUTGOING");
  if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) < 0) die("PACKET_QDISC_BYPASS");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0) die("SO_RCVBUFFORCE");
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0) die("SO_SNDBUFFORCE");
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  return fd;
}

static void *big(size_t bytes) {
  void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (found == MAP_FAILED) die("mmap");
  return found;
}

static int is_arp(const uint8_t *frame) { return frame[12] == 0x08 && frame[13] == 0x06; }

/* Whether a frame that came now is kept; if so, when it leaves. */
static int is_kept(struct direction *d, struct frame *frame, uint64_t now) {
  if (frame->length > FRAME_BYTES) {
    fprintf(stderr, "a frame of %u bytes: segmentation is not off\n", frame->length);
    exit(1);
  }
  /* Without an address nothing could be sent at all, and asking again takes a second. */
  if (loss_ppm > 0 && !is_arp(frame->bytes) && random_bits() % 1000000 < loss_ppm) {
    d->lost++;
    return 0;
  }
  uint64_t free_at = (d->free_at > now ? d->free_at : now) + (uint64_t)frame->length * 8 * 1000000000 / rate_bits;
  if (free_at - now > queue_ns) {
    d->dropped++;
    return 0;
  }
  d->free_at = free_at;
  frame->leaves = free_at + delay_ns;
  return 1;
}

static void receive(struct direction *d) {
  struct mmsghdr messages[BATCH];
  struct iovec parts[BATCH];
  while (d->tail - d->head < FRAMES - BATCH) {
    for (int i = 0; i < BATCH; i++) {
      parts[i] = (struct iovec){d->frames[(d->tail + i) % FRAMES].bytes, FRAME_BYTES};
      messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
    }
    int count = recvmmsg(d->in, messages, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
    if (count < 0 && errno != EAGAIN && errno != EINTR && errno != ENETDOWN) die("recvmmsg");
    if (count <= 0) return;
    uint64_t now = now_ns(), first = d->tail;
    for (int i = 0; i < count; i++) {
      /* A kept frame takes the place of the first one before it that was not. */
      struct frame *came = &d->frames[(first + i) % FRAMES], *place = &d->frames[d->tail % FRAMES];
      came->length = messages[i].msg_len;
      if (!is_kept(d, came, now)) continue;
      struct frame kept = *came;
      *came = *place;
      *place = kept;
      d->tail++;
    }
    if (count < BATCH) return;
  }
}

static void release(struct direction *d, uint64_t now) {
  struct mmsghdr messages[BATCH];
  struct iovec parts[BATCH];
  while (d->head != d->tail && d->frames[d->head % FRAMES].leaves <= now) {
    int count = 0;
    for (; count < BATCH && d->head + count != d->tail; count++) {
      struct frame *frame = &d->frames[(d->head + count) % FRAMES];
      if (frame->leaves > now) break;
      parts[count] = (struct iovec){frame->bytes, frame->length};
      messages[count] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[count], .msg_iovlen = 1}};
    }
    int sent = sendmmsg(d->out, messages, count, 0);
    if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENETDOWN) die("sendmmsg");
    if (sent <= 0) return;
    for (int i = 0; i < sent; i++) d->passed_bytes += parts[i].iov_len;
    d->passed += sent;
    d->head += sent;
  }
}

static void count_missed(struct direction *d) {
  struct tpacket_stats stats;
  socklen_t length = sizeof stats;
  if (getsockopt(d->in, SOL_PACKET, PACKET_STATISTICS, &stats, &length) < 0) die("PACKET_STATISTICS");
  d->missed += stats.tp_drops;
}

static void obey(char *line, struct direction *both) {
  unsigned long long delay, rate, queue, loss, seed;
  if (sscanf(line, "set %llu %llu %llu %llu %llu", &delay, &rate, &queue, &loss, &seed) == 5 && rate > 0) {
    delay_ns = delay * 1000, rate_bits = rate, queue_ns = queue * 1000, loss_ppm = loss;
    chance = seed * 2 + 1;
    for (int i = 0; i < 2; i++) both[i].head = both[i].tail, both[i].free_at = 0;
    puts("ok");
  } else if (strcmp(line, "stats") == 0) {
    uint64_t sum[5] = {0};
    for (int i = 0; i < 2; i++) {
      count_missed(&both[i]);
      const uint64_t one[5] = {both[i].passed, both[i].passed_bytes, both[i].lost, both[i].dropped, both[i].missed};
      for (int j = 0; j < 5; j++) sum[j] += one[j];
    }
    printf("%lu %lu %lu %lu %lu\n", sum[0], sum[1], sum[2], sum[3], sum[4]);
  } else {
    puts("not understood");
  }
  fflush(stdout);
}

/* 0 at the end of the orders. */
static int read_orders(struct direction *both) {
  static char line[256];
  static size_t length;
  for (;;) {
    ssize_t count = read(0, line + length, sizeof line - 1 - length);
    if (count <= 0) return count < 0 && (errno == EAGAIN || errno == EINTR);
    length += count;
    line[length] = 0;
    for (char *end; (end = strchr(line, '\n')) != NULL;) {
      *end = 0;
      obey(line, both);
      length -= end + 1 - line;
      memmove(line, end + 1, length + 1);
    }
    return 1;
  }
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: forwarder DEVICE DEVICE | forwarder --frames DEVICE\n");
    return 2;
  }
  if (strcmp(argv[1], "--frames") == 0) {
    offload(argv[2]);
    return 0;
  }
  prctl(PR_SET_TIMERSLACK, 1000UL);
  int fds[2] = {open_device(argv[1]), open_device(argv[2])};
  struct direction both[2];
  for (int i = 0; i < 2; i++) {
    both[i] = (struct direction){.in = fds[i], .out = fds[1 - i]};
    both[i].frames = big(FRAMES * sizeof(struct frame));
    uint8_t *bytes = big((size_t)FRAMES * FRAME_BYTES);
    for (size_t j = 0; j < FRAMES; j++) both[i].frames[j].bytes = bytes + j * FRAME_BYTES;
  }
  struct pollfd polled[3] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}, {0, POLLIN, 0}};
  for (;;) {
    uint64_t now = now_ns(), next = UINT64_MAX;
    for (int i = 0; i < 2; i++) {
      release(&both[i], now);
      if (both[i].head != both[i].tail) {
        uint64_t leaves = both[i].frames[both[i].head % FRAMES].leaves;
        if (leaves < next) next = leaves;
      }
    }
    uint64_t wait = next > now ? next - now : 0;
    if (wait < LATE) wait = LATE;
    struct timespec timeout = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
    if (ppoll(polled, 3, next == UINT64_MAX ? NULL : &timeout, NULL) < 0 && errno != EINTR) die("ppoll");
    for (int i = 0; i < 2; i++)
      if (polled[i].revents & POLLIN) receive(&both[i]);
    if (polled[2].revents & (POLLIN | POLLHUP) && !read_orders(both)) return 0;
  }
}

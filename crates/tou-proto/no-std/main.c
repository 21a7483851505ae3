/* A program of nothing but tou and a few system calls: no libc, no start-up
 * code. Two endpoints send each other a text over a line that loses every fifth
 * datagram, on a clock that jumps. Exits with 0 when it has arrived. */

typedef unsigned char u8;
typedef unsigned long u64;
typedef u64 size;

struct tou;
struct tou *tou_new(const u8 seed[32], unsigned short mtu);
long tou_listen(struct tou *, unsigned short port);
long tou_connect(struct tou *, u64 nanos, unsigned short port);
void tou_arrive(struct tou *, u64 nanos, const u8 *data, size len);
size tou_send(struct tou *, u64 nanos, const u8 **data);
u64 tou_deadline(struct tou *);
void tou_elapse(struct tou *, u64 nanos);
long tou_write(struct tou *, u64 nanos, const u8 *data, size len);
long tou_read(struct tou *, u64 nanos, u8 *out, size len);

/* What the compilers expect wherever they compile for. */
void *memmove(void *to, const void *from, size len)
{
    u8 *t = to;
    const u8 *f = from;
    if (t < f)
        for (size i = 0; i < len; i++) t[i] = f[i];
    else
        while (len--) t[len] = f[len];
    return to;
}
void *memcpy(void *to, const void *from, size len) { return memmove(to, from, len); }
void *memset(void *to, int octet, size len)
{
    u8 *t = to;
    while (len--) t[len] = (u8)octet;
    return to;
}
int memcmp(const void *a, const void *b, size len)
{
    const u8 *x = a, *y = b;
    for (size i = 0; i < len; i++)
        if (x[i] != y[i]) return x[i] - y[i];
    return 0;
}
int bcmp(const void *a, const void *b, size len) { return memcmp(a, b, len); }
size strlen(const char *text)
{
    size len = 0;
    while (text[len]) len++;
    return len;
}

static long system_call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

static void leave(int status, const char *text)
{
    system_call(1, 1, (long)text, (long)strlen(text));
    for (;;) system_call(231, status, 0, 0);
}

/* Carries what `from` sends to `to`; whether there was anything. */
static int carry(struct tou *from, struct tou *to, u64 now)
{
    static int sent;
    int any = 0;
    const u8 *data;
    for (size len; (len = tou_send(from, now, &data)); any = 1)
        if (++sent % 5) tou_arrive(to, now, data, len);
    return any;
}

enum { TEXT = 100000 };

__attribute__((force_align_arg_pointer, noreturn)) void _start(void)
{
    static u8 out[TEXT], in[TEXT];
    static const u8 seeds[2][32] = {{1}, {2}};
    struct tou *client = tou_new(seeds[0], 1000), *server = tou_new(seeds[1], 1000);
    u64 now = 0;
    long written = 0, read = 0;
    for (int i = 0; i < TEXT; i++) out[i] = (u8)(i * 7);
    if (!client || !server || tou_listen(server, 7) < 0 || tou_connect(client, now, 7) < 0)
        leave(1, "tou could not begin\n");
    while (read < TEXT) {
        long len = tou_write(client, now, out + written, TEXT - written);
        if (len > 0) written += len;
        if (!carry(client, server, now) & !carry(server, client, now)) {
            u64 a = tou_deadline(client), b = tou_deadline(server);
            now = a < b ? a : b;
            if (now == (u64)-1) leave(1, "both ends wait for each other\n");
            tou_elapse(client, now);
            tou_elapse(server, now);
        }
        len = tou_read(server, now, in + read, TEXT - read);
        if (len > 0) read += len;
    }
    if (memcmp(in, out, TEXT)) leave(1, "something else arrived\n");
    leave(0, "tou without std: 100000 octets arrived\n");
    for (;;) {}
}

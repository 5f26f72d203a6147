# frozen_string_literal: true

# Sidekiq 6: 20 threads at once.

require 'json'
require 'sidekiq'
require 'sidekiq/launcher'

BULK = 1000
THREADS = 20

abort 'usage: bench.rb throughput, with REDIS_URL and JOBS in the environment' unless ARGV == ['throughput']

JOBS = Integer(ENV.fetch('JOBS'))
EMPTY = { sent_ns: 0, text: '' }.freeze
# The payload of all programs of the bench: 200 bytes of JSON.
PAYLOAD = { 'sent_ns' => 0, 'text' => 'x' * (200 - EMPTY.to_json.bytesize) }.freeze

# Counts what ran.
class BenchJob
  include Sidekiq::Worker

  @ran = 0
  @lock = Mutex.new

  class << self
    attr_reader :ran

    def one_more
      @lock.synchronize { @ran += 1 }
    end
  end

  def perform(_payload)
    BenchJob.one_more
  end
end

def seconds
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

# Its own calls would warn at every job.
Redis.silence_deprecations = true
Sidekiq.redis = { url: ENV.fetch('REDIS_URL'), size: THREADS }
Sidekiq.logger.level = Logger::ERROR

one_by_one = [JOBS, 10_000].min
start = seconds
one_by_one.times { BenchJob.perform_async(PAYLOAD) }
single = one_by_one / (seconds - start)

start = seconds
(JOBS / BULK).times { Sidekiq::Client.push_bulk('class' => BenchJob, 'args' => Array.new(BULK) { [PAYLOAD] }) }
bulk = JOBS / (seconds - start)

total = one_by_one + JOBS
options = Sidekiq.options.merge(queues: ['default'], concurrency: THREADS, timeout: 2)
options[:fetch] ||= Sidekiq::BasicFetch.new(options)
launcher = Sidekiq::Launcher.new(options)
start = seconds
launcher.run
sleep 0.002 while BenchJob.ran < total
process = total / (seconds - start)

puts JSON.generate(version: Sidekiq::VERSION, single: single, bulk: bulk, process: process)
$stdout.flush
exit!

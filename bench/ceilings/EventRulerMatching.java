// Amazon's event-ruler over the rules and events of the bench, on one thread: prints events a
// second by the processor time of that thread, a figure a line, and writes for each event the names
// of the rules that it matches. Run as `java -cp JARS EventRulerMatching.java RULES EVENTS FOUND
// WARM_UP_S ROUNDS`; RULES has a name and a pattern a line, with a tab between.

import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import software.amazon.event.ruler.Machine;

public class EventRulerMatching {
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  public static void main(String[] words) throws Exception {
    List<String> rules = Files.readAllLines(Path.of(words[0]), StandardCharsets.UTF_8);
    List<String> events = Files.readAllLines(Path.of(words[1]), StandardCharsets.UTF_8);
    Machine machine = Machine.builder().build();
    for (String rule : rules) {
      int tab = rule.indexOf('\t');
      machine.addRule(rule.substring(0, tab), rule.substring(tab + 1));
    }
    try (PrintWriter found = new PrintWriter(words[2], StandardCharsets.UTF_8)) {
      for (String event : events) {
        found.println(String.join(",", new TreeSet<>(machine.rulesForJSONEvent(event))));
      }
    }
    double warmUp = Double.parseDouble(words[3]);
    for (double spent = 0; spent < warmUp; ) {
      spent += seconds(machine, events);
    }
    for (int round = 0; round < Integer.parseInt(words[4]); round++) {
      double spent = 0;
      int times = 0;
      while (spent < 1) {
        spent += seconds(machine, events);
        times++;
      }
      System.out.println(events.size() * times / spent);
    }
  }

  private static double seconds(Machine machine, List<String> events) throws Exception {
    long began = THREADS.getCurrentThreadCpuTime();
    for (String event : events) {
      machine.rulesForJSONEvent(event);
    }
    return (THREADS.getCurrentThreadCpuTime() - began) / 1e9;
  }
}

#include "engine/calibration_text.h"

namespace gale {

// Written for this: stories, explanations, talk, code, tables, numbers and a few languages.
std::string_view calibration_text() {
  return R"TEXT(Once upon a time there was a little girl called Mia who lived with her grandfather at the edge of a forest. Every morning they
fed the hens, and every evening the old man told her a story. One day a small fox came to the fence and did not run away. "Are you
hungry?" Mia asked. The fox looked at her and sat down. She ran to the kitchen and came back with a piece of bread. "We can be
friends," she said, "but you must never eat our hens." The fox took the bread, and from that day on he came every morning, and not
one hen was lost. Her grandfather smiled. "You see," he said, "kindness is a fence too."

Tom had a red ball. He liked to play with it in the park. One windy day the ball rolled into the pond. Tom was sad and began to
cry. A big brown dog saw him, jumped into the water and brought the ball back. Tom was so happy that he hugged the wet dog. His
mother laughed and said, "Now you both need a bath!"

The water cycle describes how water moves between the oceans, the air and the land. Heat from the sun turns water into vapour,
which rises, cools and condenses into clouds. When the droplets grow heavy they fall as rain or snow. Part of it flows in rivers
back to the sea, part sinks into the ground, and part is taken up by plants, which give it back through their leaves. Although the
total amount hardly changes, its distribution does: droughts and floods are two sides of the same process.

In 1687 Isaac Newton published the Principia, in which he showed that the force that pulls an apple to the ground also keeps the
Moon in its orbit. The attraction between two bodies grows with the product of their masses and falls with the square of the
distance between them. More than two centuries passed before Albert Einstein explained gravity in another way, as the curvature of
space and time. For most purposes, from bridges to space probes, Newton's equations remain accurate enough.

User: What is the capital of Australia?
Assistant: The capital of Australia is Canberra. Many people expect Sydney or Melbourne, but Canberra was chosen in 1908 as a
compromise between the two.
User: How much is 17 times 24?
Assistant: 17 x 24 = 17 x 20 + 17 x 4 = 340 + 68 = 408.
User: Please write a short mail that moves our meeting from Tuesday to Thursday.
Assistant: Subject: New date for our meeting

Dear Ms. Alvarez,

unfortunately I cannot make it on Tuesday. Would Thursday at 10:30 suit you instead? The agenda stays the same.

Kind regards,
Peter

def quicksort(items):
    """Returns a sorted copy."""
    if len(items) <= 1:
        return items
    pivot, *rest = items
    smaller = [x for x in rest if x < pivot]
    larger = [x for x in rest if x >= pivot]
    return quicksort(smaller) + [pivot] + quicksort(larger)

#include <stdio.h>

int main(void) {
  for (int i = 1; i <= 100; ++i) {
    if (i % 15 == 0) printf("FizzBuzz\n");
    else if (i % 5 == 0) printf("Buzz\n");
    else if (i % 3 == 0) printf("Fizz\n");
    else printf("%d\n", i);
  }
  return 0;
}

SELECT name, COUNT(*) AS orders, SUM(total) AS revenue FROM customers JOIN orders ON orders.customer_id = customers.id
WHERE orders.created_at >= '2023-01-01' GROUP BY name HAVING COUNT(*) > 3 ORDER BY revenue DESC LIMIT 10;

{"id": 42, "title": "Blue lamp", "price": 19.95, "tags": ["home", "light"], "stock": {"berlin": 7, "madrid": 0}, "active": true}

| planet | diameter (km) | moons | day (hours) |
|---|---|---|---|
| Mercury | 4879 | 0 | 4222.6 |
| Earth | 12756 | 1 | 24.0 |
| Jupiter | 142984 | 95 | 9.9 |

# Pancakes

For four people: 250 g of flour, 2 eggs, half a litre of milk, a pinch of salt and some butter. Whisk the eggs with the milk, add
the flour little by little until the batter is smooth, and let it rest for twenty minutes. Melt the butter in a pan, pour in a
ladle of batter, and turn the pancake as soon as its edge comes loose.

1. Open the door and switch off the main valve.
2. Remove the four screws (M6) and lift the cover.
3. Replace the filter; the arrow points in the direction of the flow.
4. Close everything, and check for leaks at a pressure of 2.5 bar.

The market opened lower on Monday. Shares of energy companies fell by 2.3 percent after oil dropped below 70 dollars a barrel,
while technology stocks recovered some of last week's losses. "Investors are waiting for the central bank," said one analyst in
Frankfurt. The decision is expected on Thursday at 14:15.

Let f(x) = x^2 - 4x + 3. Then f(x) = (x - 1)(x - 3), so the roots are x = 1 and x = 3, and the minimum lies at x = 2, where
f(2) = -1. The integral of f from 1 to 3 is [x^3/3 - 2x^2 + 3x] = 0 - 4/3 = -4/3.

She closed the book and listened. Rain ran down the window; somewhere below a door fell shut. For years she had told herself that
the letter did not matter, that the past was a country one could leave without papers. Now it lay on the table, yellow and thin,
and she knew that she would read it before the night was over.

Das Wetter bleibt am Wochenende freundlich. Am Samstag scheint die Sonne, am Sonntag ziehen von Westen her einige Wolken auf.
La bibliothèque est ouverte du mardi au samedi, de neuf heures à dix-huit heures. Il faut une carte pour emprunter des livres.
El tren con destino a Sevilla sale a las ocho y media de la vía cuatro; los billetes se compran en la máquina.
春天来了，花园里的花都开了。孩子们在草地上玩。 今日はとても良い天気ですね。散歩に行きましょう。
Москва — столица России. Вчера мы ходили в музей и видели много картин.

"Where were you?" asked Ben. "I waited for an hour!" Lily looked at the ground. "I am sorry," she said. "I found a bird with a hurt
wing, and I did not want to leave it alone." Ben was quiet for a moment. Then he said, "Show me the bird. Maybe we can help it
together." They made a nest from an old box and some grass, and gave the bird water and seeds. After two weeks it flew away, and
the two friends waved until they could not see it any more.
)TEXT";
}

}  // namespace gale
